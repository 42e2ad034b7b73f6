// What open-remote-ssh does: asks with "none" first, runs short commands and
// waits for their channels to close, starts a server, and reaches it by port
// and by socket, while a command that never ends holds the agent.
const { spawnSync } = require('child_process');
const fs = require('fs');
const { Client } = require('ssh2');
const env = process.env;

const agent = startAgent();
process.on('exit', () => process.kill(agent.pid));

function startAgent() {
  const said = spawnSync('ssh-agent', ['-s']).stdout.toString();
  const [, socket] = /SSH_AUTH_SOCK=([^;]+)/.exec(said);
  const [, pid] = /SSH_AGENT_PID=(\d+)/.exec(said);
  spawnSync('ssh-add', ['-q', env.KEY], { env: { ...env, SSH_AUTH_SOCK: socket } });
  return { socket, pid: +pid };
}

function connect() {
  const asked = [];
  const methods = [
    { type: 'none', username: env.LOGIN },
    { type: 'publickey', username: env.LOGIN, key: fs.readFileSync(env.KEY) },
  ];
  return new Promise((resolve, reject) => {
    const client = new Client();
    client.on('error', reject).on('ready', () => {
      if (asked.join() === 'none,publickey') console.log('none is refused');
      resolve(client);
    });
    client.connect({
      host: env.HOST, port: +env.PORT, username: env.LOGIN, agent: agent.socket, readyTimeout: 60000,
      authHandler(left, partial, next) {
        const method = methods.shift();
        asked.push(method && method.type);
        next(method || false);
      },
    });
  });
}

const call = (client, name, ...args) => new Promise((resolve, reject) =>
  client[name](...args, (err, value) => (err ? reject(err) : resolve(value))));

// run resolves when the channel is closed, not when output or command ends.
async function run(client, command, options = {}) {
  const channel = await call(client, 'exec', command, options);
  let said = '';
  channel.on('data', (data) => { said += data; });
  channel.stderr.resume();
  await new Promise((resolve) => channel.on('close', resolve));
  return said;
}

const script = (text) => `echo ${Buffer.from(text).toString('base64')} | base64 -d | bash -l`;

async function startServer(client, socket) {
  return (await run(client, script(`
    log=$(mktemp) && mkfifo $log.in
    nohup python3 -c "$(echo ${Buffer.from(env.ECHO).toString('base64')} | base64 -d)" ${socket} <>$log.in >$log 2>&1 &
    until [ -s $log ]; do sleep 0.1; done
    cat $log`))).trim();
}

const echo = (channel) => new Promise((resolve, reject) => {
  let said = '';
  channel.on('data', (data) => { said += data; }).on('error', reject).on('close', () => resolve(said));
  channel.end('word '.repeat(20000));
});

async function many(open, what) {
  const said = await Promise.all(Array.from({ length: 8 }, async () => echo(await open())));
  if (said.every((text) => text === 'WORD '.repeat(20000))) console.log(`8 connections by ${what}`);
}

async function holdAgent(client) {
  const channel = await call(client, 'exec', `echo "$SSH_AUTH_SOCK"; exec -a ${env.MARK} cat`, { agentForward: true });
  const socket = await new Promise((resolve) => channel.once('data', (data) => resolve(data.toString().trim())));
  return { channel, socket };
}

async function main() {
  const client = await connect();
  process.stdout.write(await run(client, 'uname -s'));
  const port = await startServer(client, '');
  if (+port > 0) console.log('server started');
  await many(() => call(client, 'forwardOut', '127.0.0.1', 0, '127.0.0.1', +port), 'port');
  const socket = await startServer(client, `${env.FAR}.sock`);
  await many(() => call(client, 'openssh_forwardOutStreamLocal', socket), 'socket');
  const held = await holdAgent(client);
  const keys = await run(client, `SSH_AUTH_SOCK=${held.socket} ssh-add -l`);
  if (/ED25519/.test(keys)) console.log('agent answers');
  held.channel.write('still open\n');
  process.stdout.write(await new Promise((resolve) => held.channel.once('data', resolve)));
  client.end();
}

main().then(() => process.exit(0), (err) => { console.error(err); process.exit(1); });
