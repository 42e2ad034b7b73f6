const crypto = require('crypto'), fs = require('fs'), net = require('net');
const { Client } = require('ssh2');
const env = process.env;

function connect(ready) {
  const client = new Client();
  client.on('ready', () => ready(client)).on('error', fail);
  client.on('keyboard-interactive', (name, instructions, lang, prompts, answer) => answer(prompts.map(() => env.CODE)));
  client.connect({
    host: env.HOST, port: +env.PORT, username: env.LOGIN, password: env.PASSWORD, tryKeyboard: !!env.CODE,
    privateKey: env.KEY && fs.readFileSync(env.KEY),
    hostVerifier: (key) => 'SHA256:' + crypto.createHash('sha256').update(key).digest('base64').replace(/=+$/, '') === env.FINGERPRINT,
  });
}

function fail(err) {
  console.error(err);
  process.exit(1);
}

// orFail is a callback that goes on only without an error.
const orFail = (then) => (err, value) => (err ? fail(err) : then(value));

// finish ends with the status that came, once the channel is closed.
function finish(client, channel) {
  let status = 255;
  channel.on('exit', (code) => { status = code; });
  channel.on('close', () => { process.exitCode = status; client.end(); });
  channel.pipe(process.stdout);
  channel.stderr.pipe(process.stderr);
}

const does = {
  version: () => console.log('ssh2', require('ssh2/package.json').version, 'node', process.version),
  exec: () => connect((client) => client.exec(env.COMMAND, orFail((channel) => {
    finish(client, channel);
    process.stdin.pipe(channel);
  }))),
  shell: () => connect((client) => client.shell(orFail((channel) => {
    finish(client, channel);
    channel.write(env.TYPED + '\n');
  }))),
  sftp: () => connect((client) => client.sftp(orFail((files) =>
    files.fastPut('up', env.FAR, orFail(() =>
      files.fastGet(env.FAR, 'down', orFail(() => client.end()))))))),
  forward: () => connect((client) => net.createServer({ allowHalfOpen: true }, (near) =>
    client.forwardOut('127.0.0.1', 0, '127.0.0.1', +env.FAR_PORT, orFail((far) =>
      near.pipe(far).pipe(near)))).listen(+env.NEAR_PORT, '127.0.0.1')),
};
does[process.argv[2]]();
