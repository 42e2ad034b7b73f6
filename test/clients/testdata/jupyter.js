// Opens Jupyter's notebook in a browser behind the SOCKS proxy on $PROXY_PORT,
// runs a cell, and prints what it prints: $URL is as Jupyter said it.
const { chromium } = require('playwright-core');
const env = process.env;

async function main() {
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update',
      '--disable-sync', '--no-first-run',
      `--proxy-server=socks5://127.0.0.1:${env.PROXY_PORT}`, '--proxy-bypass-list=<-loopback>',
    ],
  });
  const page = await browser.newPage();
  page.setDefaultTimeout(90000);
  let sockets = 0;
  page.on('websocket', () => { sockets += 1; });
  await page.goto(env.URL); // leaves a cookie
  const base = new URL(env.URL).origin;
  const notebook = await page.evaluate(async () => {
    const xsrf = document.cookie.replace(/.*_xsrf=([^;]*).*/, '$1');
    const answer = await fetch('/api/contents', { method: 'POST', headers: { 'X-XSRFToken': xsrf }, body: '{"type":"notebook"}' });
    return (await answer.json()).path;
  });
  await page.goto(`${base}/notebooks/${notebook}`);
  await page.waitForFunction(() => window.Jupyter?.notebook?.kernel?.is_connected());
  await page.evaluate(() => {
    const cell = window.Jupyter.notebook.get_cell(0);
    cell.set_text('import socket\nprint(6 * 7, socket.gethostname())');
    cell.execute();
  });
  const output = page.locator('.output_text pre').first();
  await output.waitFor();
  console.log((await output.innerText()).trim());
  console.log(sockets > 0 ? 'over a websocket' : 'over no websocket');
  await browser.close();
}

main().then(() => process.exit(0), (err) => { console.error(err); process.exit(1); });
