// Keeps times counting and live parts live. Every page is whole without it.
'use strict'

const main = document.querySelector('main')
let ahead = Number(main.dataset.now) - Date.now() // the store's clock before this one
const tellsTime = Number(main.dataset.now) > 0

function span(ms) {
  const seconds = Math.floor(Math.max(ms, 0) / 1000)
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`
  return `${Math.floor(seconds / 86400)} d`
}

function tellTimes() {
  const now = Date.now() + ahead
  for (const time of document.querySelectorAll('time[data-at]')) {
    const passed = now - Number(time.dataset.at)
    const words = passed < 0 ? `in ${span(-passed)}` : `${span(passed)} ago`
    if (time.textContent !== words) time.textContent = words
  }
}

if (tellsTime) {
  tellTimes()
  setInterval(tellTimes, 1000)
}

const part = document.querySelector('[data-follow]')
if (part) {
  const stale = document.querySelector('.stale')
  const source = new EventSource(part.dataset.follow)
  source.onmessage = (event) => {
    ahead = Number(event.lastEventId) - Date.now()
    // The server made it, with everything escaped; the policy of the page runs no script in it.
    part.innerHTML = event.data
    tellTimes()
    stale.hidden = true
  }
  source.onopen = () => { stale.hidden = true }
  let lost
  source.onerror = () => {
    clearTimeout(lost)
    // A stream that ended connects again by itself; one that was refused does not.
    lost = setTimeout(() => {
      if (source.readyState !== EventSource.OPEN) stale.hidden = false
      if (source.readyState === EventSource.CLOSED) location.reload()
    }, 5000)
  }
  addEventListener('pagehide', () => source.close())
}
