// PostGraphile 5 over Hefu's own tables, as its documentation serves a database.
//
//     node postgraphile.mjs PORT SOCKET_FOLDER

import { createServer } from 'node:http';
import { grafserv } from 'postgraphile/grafserv/node';
import { makePgService } from 'postgraphile/adaptors/pg';
import { PostGraphileAmberPreset } from 'postgraphile/presets/amber';
import { postgraphile } from 'postgraphile';

const [port, host] = process.argv.slice(2);
const connectionString = `postgres://postgres@/hefu?host=${encodeURIComponent(host)}`;
const preset = {
  extends: [PostGraphileAmberPreset],
  pgServices: [makePgService({ connectionString, schemas: ['public'] })],
  grafserv: { port: Number(port), graphiql: false, watch: false },
  grafast: { explain: false },
};
const server = createServer();
server.on('error', (error) => { throw error; });
await postgraphile(preset).createServ(grafserv).addTo(server);
server.listen(Number(port), '127.0.0.1');
