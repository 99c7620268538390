// What somebody would write with better-auth instead: one endpoint that takes the code,
// makes WeCom's two calls, finds or creates the account, and opens a session.
//
//     node better_auth.mjs PORT WECOM_URL postgres SOCKET_FOLDER
//     node better_auth.mjs PORT WECOM_URL sqlite FILE

import { createServer } from 'node:http';
import { betterAuth } from 'better-auth';
import { createAuthEndpoint } from 'better-auth/api';
import { setSessionCookie } from 'better-auth/cookies';
import { getMigrations } from 'better-auth/db/migration';
import { toNodeHandler } from 'better-auth/node';
import * as z from 'zod';

const [port, wecomUrl, dialect, place] = process.argv.slice(2);

// Its migration lacks it; without it each login reads the whole table.
const INDEX = 'CREATE INDEX account_key ON account ("accountId", "providerId")';

let token;

async function call(path, parameters) {
  const response = await fetch(`${wecomUrl}/cgi-bin/${path}?${new URLSearchParams(parameters)}`);
  const answer = await response.json();
  if (answer.errcode) throw new Error(`WeCom says ${answer.errcode}`);
  return answer;
}

async function accessToken() {
  if (token && token.until > Date.now()) return token.text;
  const answer = await call('gettoken', { corpid: 'wwbench', corpsecret: 's' });
  token = { text: answer.access_token, until: Date.now() + answer.expires_in * 1000 };
  return token.text;
}

const login = createAuthEndpoint(
  '/wecom/login',
  { method: 'POST', body: z.object({ code: z.string().min(1).max(512) }) },
  async (context) => {
    const access_token = await accessToken();
    const { code } = context.body;
    const { UserId } = await call('user/getuserinfo', { access_token, code });
    const profile = await call('user/get', { access_token, userid: UserId });
    const key = { providerId: 'wecom', accountId: `wwbench:${UserId.toLowerCase()}` };
    const { internalAdapter } = context.context;
    const owner = await internalAdapter.findAccountOwnerByKey(key);
    const user =
      owner?.user ??
      (
        await internalAdapter.createOAuthUser(
          { name: profile.name, email: `${UserId}@wecom.invalid`, emailVerified: false },
          key,
        )
      ).user;
    const session = await internalAdapter.createSession(user.id);
    await setSessionCookie(context, { session, user });
    return context.json({ token: session.token, user });
  },
);

async function openDatabase() {
  if (dialect === 'postgres') {
    const { Pool } = (await import('pg')).default;
    const pool = new Pool({ host: place, user: 'postgres', database: 'better_auth' });
    return { database: pool, execute: (sql) => pool.query(sql) };
  }
  const { default: Database } = await import('better-sqlite3');
  const database = new Database(place);
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = NORMAL');
  return { database, execute: (sql) => database.exec(sql) };
}

const { database, execute } = await openDatabase();
const options = {
  database,
  secret: 'a secret of at least thirty-two characters',
  baseURL: `http://localhost:${port}`,
  rateLimit: { enabled: false },
  logger: { level: 'error' },
  plugins: [{ id: 'wecom', endpoints: { login } }],
};
const { runMigrations } = await getMigrations(options);
await runMigrations();
await execute(INDEX);
createServer(toNodeHandler(betterAuth(options))).listen(Number(port), '127.0.0.1');
