// The list as somebody writes it by hand: graphql-yoga over two statements of SQL.
//
//     node yoga.mjs PORT SOCKET_FOLDER

import { createServer } from 'node:http';
import { createSchema, createYoga } from 'graphql-yoga';
import pg from 'pg';

const [port, host] = process.argv.slice(2);
const pool = new pg.Pool({ host, user: 'postgres', database: 'hefu' });

const typeDefs = `
  type Query { identitySources(first: Int!, after: ID): Sources! }
  type Sources { nodes: [Source!]! pageInfo: PageInfo! }
  type PageInfo { hasNextPage: Boolean! endCursor: ID }
  type Source { id: ID! identifier: String! displayName: String! apps(first: Int!): Apps! }
  type Apps { nodes: [App!]! }
  type App { id: ID! name: String! }
`;

const SOURCES = {
  name: 'sources',
  text: `SELECT id, identifier, display_name AS "displayName" FROM identity_sources
    WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2`,
};
const APPS = {
  name: 'apps',
  text: `SELECT parent.id AS parent, listed.id, listed.name
    FROM unnest($1::uuid[]) AS parent (id) CROSS JOIN LATERAL (
      SELECT t.id, t.name FROM associations a JOIN apps t ON t.id = a.app_id
      WHERE a.identity_source_id = parent.id ORDER BY t.id LIMIT $2) AS listed`,
};

// All the sources of a page ask at once: one statement for all of them.
function appsOf(source, first) {
  const { page } = source;
  page.apps ??= pool
    .query({ ...APPS, values: [page.ids, first] })
    .then(({ rows }) => Map.groupBy(rows, (row) => row.parent));
  return page.apps.then((apps) => ({ nodes: apps.get(source.id) ?? [] }));
}

const resolvers = {
  Query: {
    async identitySources(_, { first, after }) {
      const { rows } = await pool.query({ ...SOURCES, values: [after, first + 1] });
      const nodes = rows.slice(0, first);
      const page = { ids: nodes.map((row) => row.id) };
      for (const node of nodes) node.page = page;
      return {
        nodes,
        pageInfo: { hasNextPage: rows.length > first, endCursor: nodes.at(-1)?.id },
      };
    },
  },
  Source: { apps: (source, { first }) => appsOf(source, first) },
};

const yoga = createYoga({
  schema: createSchema({ typeDefs, resolvers }),
  logging: 'error',
  graphiql: false,
});
createServer(yoga).listen(Number(port), '127.0.0.1');
