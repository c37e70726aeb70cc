// The browser that is installed: Debian's package `chromium`, or what CHROMIUM names.
import { accessSync, constants } from 'node:fs'
import puppeteer from 'puppeteer-core'

const known = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

function program() {
  const named = process.env.CHROMIUM ? [process.env.CHROMIUM] : known
  const there = named.find((path) => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
  if (!there) throw new Error(`no browser at ${named.join(', ')}: install Debian's package chromium, or set CHROMIUM`)
  return there
}

export function chromium() {
  return puppeteer.launch({
    // It ends when whoever drives it does, however that one ends.
    pipe: true,
    executablePath: program(),
    // The tests may run as root, where its sandbox does not work. No host but this one has a name.
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'],
  })
}
