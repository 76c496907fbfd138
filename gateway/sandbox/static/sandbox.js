// The sandbox page. Every string here came from outside: it is shown through textContent only.
const list = document.getElementById('events');
const filter = document.getElementById('filter');
const pause = document.getElementById('pause');
const state = document.getElementById('state');
const empty = document.getElementById('empty');
const SHOWN = 200;
const REMEMBERED = 10000;
const IDENTITY = { email: 'e-mail', phone: 'phone', external_id: 'external id', ttclid: 'ttclid', ttp: 'ttp', ip: 'IP', user_agent: 'user agent' };
const seen = new Map(); // pixel + event + event_id → seq of the first accepted one, as TikTok deduplicates
let last = 0;
let paused = false;

const element = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};
const chip = (text, kind = '') => element('span', `chip ${kind}`, text);
const money = (value, currency) => {
  if (value === undefined) return '';
  try {
    return new Intl.NumberFormat(undefined, { style: 'currency', currency }).format(value);
  } catch {
    return `${value} ${currency ?? ''}`; // no number or no currency: as it came
  }
};
const isRepeat = (entry, event) => {
  if (!entry.accepted || !event.event_id) return false;
  const key = JSON.stringify([entry.event_source_id, event.event, event.event_id]);
  if (seen.size > REMEMBERED) seen.clear();
  if (!seen.has(key)) seen.set(key, entry.seq);
  return seen.get(key) !== entry.seq;
};
const shown = (entry) => {
  const wanted = filter.value.trim().toLowerCase();
  return !wanted || JSON.stringify(entry).toLowerCase().includes(wanted);
};

const row = (entry) => {
  const event = entry.event && typeof entry.event === 'object' ? entry.event : {};
  const item = element('li');
  item.entry = entry;
  const details = element('details');
  const summary = element('summary');
  const moment = new Date(typeof event.event_time === 'number' ? event.event_time * 1000 : NaN);
  const known = !Number.isNaN(moment.getTime()); // a refused event may hold anything here
  const time = element('time', '', known ? moment.toLocaleTimeString() : '–');
  time.title = known ? moment.toISOString() : 'no usable event_time';
  const properties = event.properties || {};
  const value = money(properties.value, properties.currency);
  const chips = element('span', 'chips');
  if (!entry.accepted) chips.append(chip(`refused ${entry.code}`, 'bad'));
  if (isRepeat(entry, event)) {
    const repeat = chip('duplicate', 'twice');
    repeat.title = 'same pixel, event and event_id as an earlier one: TikTok counts it once';
    chips.append(repeat);
  }
  if (entry.test_event_code) chips.append(chip(`test ${entry.test_event_code}`, 'warn'));
  for (const [field, label] of Object.entries(IDENTITY)) if (event.user && event.user[field]) chips.append(chip(label, 'good'));
  if (entry.accepted && entry.findings.length) chips.append(chip(`${entry.findings.length} finding${entry.findings.length > 1 ? 's' : ''}`, 'warn'));
  summary.append(time, element('span', 'name', String(event.event ?? '(no name)')), element('span', 'value', value), chips);
  details.append(summary);
  details.addEventListener('toggle', () => {
    if (!details.open || details.lastElementChild !== summary) return;
    const detail = element('div', 'detail');
    if (entry.findings.length) {
      const findings = element('ul', entry.accepted ? '' : 'refused');
      entry.findings.forEach((text) => findings.append(element('li', '', text)));
      detail.append(findings);
    }
    detail.append(element('pre', '', JSON.stringify({ event_source_id: entry.event_source_id, test_event_code: entry.test_event_code, ...event }, null, 2)));
    details.append(detail);
  });
  item.append(details);
  item.hidden = !shown(entry);
  return item;
};

const forget = () => {
  list.replaceChildren();
  seen.clear();
};
const refresh = async () => {
  if (paused || document.hidden) return;
  try {
    const [events, stats] = await Promise.all([
      fetch(`/sandbox/events?since=${last}&limit=${SHOWN}`).then((answer) => answer.json()),
      fetch('/sandbox/stats').then((answer) => answer.json()),
    ]);
    document.querySelectorAll('[data-stat]').forEach((cell) => { cell.textContent = stats[cell.dataset.stat].toLocaleString(); });
    if (events.last < last) forget(); // started anew: its numbers begin at 1 again
    else events.events.forEach((entry) => list.prepend(row(entry)));
    last = events.last;
    while (list.children.length > SHOWN) list.lastElementChild.remove();
    empty.hidden = list.children.length > 0;
    state.textContent = list.children.length ? 'live' : 'waiting for events …';
  } catch {
    state.textContent = 'the sandbox does not answer – is it still running?';
  }
};
const poll = async () => {
  await refresh(); // one at a time: two at once would show an event twice
  setTimeout(poll, 800);
};

filter.addEventListener('input', () => { for (const item of list.children) item.hidden = !shown(item.entry); });
pause.addEventListener('click', () => {
  paused = !paused;
  pause.setAttribute('aria-pressed', String(paused));
  pause.textContent = paused ? 'Resume' : 'Pause';
  state.textContent = paused ? 'paused' : 'live';
});
document.getElementById('clear').addEventListener('click', async () => {
  await fetch('/sandbox/events', { method: 'DELETE' });
  forget();
  empty.hidden = false;
});
poll();
