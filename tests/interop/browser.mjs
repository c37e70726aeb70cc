// A headless Chromium driven by JSON lines.
//
//   node browser.mjs http://127.0.0.1:PORT
//
// Commands (see lines.mjs):
//   {"do":"open","path":P,"width":W,"height":H,"dark":B,"script":B}  → {"path"} where it ended
//   {"do":"fill","field":NAME,"text":T}
//   {"do":"press","act":VALUE}                      a button, its <details> opened first → {"path"}
//   {"do":"follow","text":T}                        a link → {"path"}
//   {"do":"wait","selector":S,"text":T}             until an element has the text, without a reload
//   {"do":"read","selector":S}                      → {"texts"}
//   {"do":"qr"}                                     the code in the picture on the page → {"code"}
//   {"do":"shot","file":F}
//   {"do":"look"}                                   → {"overflow","trouble"}: what should not be
// `trouble` lists each request that left the site, and each violation of the policy or error of a script.
import { chromium } from './chromium.mjs'
import jsqr from 'jsqr'
import { PNG } from 'pngjs'
import { serve } from './lines.mjs'

const base = process.argv[2]
const browser = await chromium()
const page = await browser.newPage()
const trouble = []
page.on('request', (request) => {
  const url = request.url()
  if (!url.startsWith(`${base}/`) && !url.startsWith('data:')) trouble.push(`request ${url}`)
})
page.on('pageerror', (error) => trouble.push(`script ${error}`))
page.on('dialog', (dialog) => { trouble.push(`dialog ${dialog.message()}`); dialog.dismiss() })
page.on('console', (message) => {
  const status = /status of (\d+)/.exec(message.text())?.[1]
  if (message.type() === 'error' && !status) trouble.push(`console ${message.text()}`)
})
await page.exposeFunction('broken', (what) => { trouble.push(`policy ${what}`) })
await page.evaluateOnNewDocument(() => {
  document.addEventListener('securitypolicyviolation', (event) => {
    window.broken(`${event.violatedDirective} ${event.blockedURI}`)
  })
})

const here = () => ({ path: page.url().slice(base.length) })
const settled = { waitUntil: 'load', timeout: 30_000 }

serve({
  async open({ path, width = 1280, height = 900, dark = false, script = true }) {
    await page.setViewport({ width, height })
    await page.setJavaScriptEnabled(script)
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }])
    await page.goto(base + path, settled)
    return here()
  },
  async fill({ field, text }) {
    await page.locator(`[name="${field}"]`).fill(text)
  },
  async press({ act }) {
    const selector = act ? `main button[value="${act}"]` : 'main button'
    const button = await page.waitForSelector(selector)
    const summary = await button.evaluateHandle((element) => {
      const details = element.closest('details')
      return details && !details.open ? details.querySelector('summary') : null
    })
    await summary.asElement()?.click()
    await Promise.all([page.waitForNavigation(settled), button.click()])
    return here()
  },
  async follow({ text }) {
    const link = await page.waitForSelector(`main a::-p-text(${text})`)
    await Promise.all([page.waitForNavigation(settled), link.click()])
    return here()
  },
  async wait({ selector, text = '' }) {
    // A reload would begin a new document, without the mark.
    await page.evaluate(() => { window.mark = true })
    const found = (selector, text) => {
      if (!window.mark) throw new Error('the page was loaded again')
      const all = [...document.querySelectorAll(selector)]
      return all.some((element) => element.textContent.includes(text))
    }
    await page.waitForFunction(found, { timeout: 60_000 }, selector, text)
  },
  async read({ selector }) {
    return { texts: await page.$$eval(selector, (all) => all.map((element) => element.innerText)) }
  },
  async qr() {
    const picture = await page.waitForSelector('.qr svg', { timeout: 60_000 })
    // The page may put the next code into its place at any moment.
    const photo = await picture.screenshot().catch(() => null)
    if (!photo) return { code: null }
    const { data, width, height } = PNG.sync.read(Buffer.from(photo))
    return { code: jsqr(new Uint8ClampedArray(data), width, height)?.data ?? null }
  },
  async shot({ file }) {
    await page.screenshot({ path: file, fullPage: true })
  },
  async look() {
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth)
    return { overflow, trouble }
  },
  async quit() {
    await browser.close()
    process.exitCode = 0
    setImmediate(() => process.exit())
  },
})
