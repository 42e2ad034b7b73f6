// Uses VS Code's workbench in a browser, at $URL and behind $PROXY if there is
// one, as it is told: each line of input is a word of those below and what it
// takes, and is answered by a line. What fails is answered, too, and is seen in
// $SCREENSHOT.
const { EventEmitter, once } = require('events');
const readline = require('readline');
const { chromium } = require('playwright-core');
const env = process.env;

const terminal = '.terminal-wrapper.active .xterm-rows';
const sockets = new Set(); // by which the workbench is connected: one for itself, one for extensions
const changes = new EventEmitter(); // of the sockets
let broken = false; // whether something was not loaded: see load

// shows waits until the terminal shows something, and returns it.
async function shows(page, pattern) {
  const find = ([rows, text]) => document.querySelector(rows)?.innerText.replace(/\u00a0/g, ' ').match(new RegExp(text));
  try {
    return await (await page.waitForFunction(find, [terminal, pattern])).jsonValue();
  } catch (err) {
    throw new Error(`${err}; the terminal shows ${await page.evaluate(find, [terminal, '[^]*'])}`);
  }
}

// load loads a page, and again where Chromium breaks it off, as it does when an
// interface comes or goes, as those of other containers do.
async function load(go) {
  for (;;) {
    broken = false;
    const answer = await go().catch((err) => {
      if (!isBroken(`${err}`)) throw err;
      broken = true;
    });
    if (!broken) return answer;
  }
}

const isBroken = (text) => text.includes('ERR_NETWORK_CHANGED');

// until waits for what the sockets' events make true.
async function until(done) {
  while (!done()) await once(changes, 'change', { signal: AbortSignal.timeout(90000) });
}

const does = {
  async open(page, folder) {
    await load(() => page.goto(`${env.URL}/?folder=${folder}`));
    await page.locator('.explorer-folders-view .monaco-list-row[aria-label^="hello.txt"]').dblclick();
    await page.locator('.monaco-editor[data-uri$="/hello.txt"]').waitFor();
    return 'open';
  },
  async append(page, text) {
    await page.locator('.monaco-editor[data-uri$="/hello.txt"] .view-lines').click();
    await page.keyboard.press('Control+End');
    await page.keyboard.type(text);
    await page.locator('.tab.dirty').waitFor();
    await page.keyboard.press('Control+s');
    await page.locator('.tab.dirty').waitFor({ state: 'detached' });
    return 'saved';
  },
  async terminal(page) {
    await page.keyboard.press('Control+Shift+Backquote');
    await shows(page, '[$%]\\s*$');
    return 'a prompt';
  },
  async type(page, command) {
    const input = page.locator('.terminal-wrapper.active .xterm-helper-textarea');
    await input.focus();
    await page.keyboard.insertText(command); // at once: nothing else takes the focus between
    await input.press('Enter');
    return 'typed';
  },
  shown: async (page, pattern) => (await shows(page, pattern)).pop(),
  async lost() {
    await until(() => sockets.size === 0);
    return 'lost';
  },
  async back() {
    await until(() => sockets.size >= 2);
    return 'back';
  },
  async reload(page) {
    await load(() => page.reload());
    return 'reloaded';
  },
  async visit(page, url) {
    const other = await page.context().newPage();
    const text = await (await load(() => other.goto(url))).text();
    await other.close();
    return JSON.stringify(text);
  },
  async screenshot(page) {
    await page.screenshot({ path: env.SCREENSHOT });
    return 'taken';
  },
};

async function main() {
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update',
      '--disable-sync', '--no-first-run',
      ...(env.PROXY ? [`--proxy-server=${env.PROXY}`, '--proxy-bypass-list=<-loopback>'] : []),
    ],
  });
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(90000);
  page.on('requestfailed', (request) => { broken ||= isBroken(request.failure().errorText); });
  page.on('websocket', (socket) => {
    sockets.add(socket);
    socket.on('close', () => { sockets.delete(socket); changes.emit('change'); });
    changes.emit('change');
  });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [word, ...rest] = line.split(' ');
    try {
      console.log(await does[word](page, rest.join(' ')));
    } catch (err) {
      await page.screenshot({ path: env.SCREENSHOT });
      console.log(JSON.stringify(`${err}`));
    }
  }
  await browser.close();
}

main().then(() => process.exit(0), (err) => { console.error(err); process.exit(1); });
