// The sandbox page. Every string here came from outside: it is shown through textContent only.
const list = document.getElementById('events');
const filter = document.getElementById('filter');
const pause = document.getElementById('pause');
const state = document.getElementById('state');
const empty = document.getElementById('empty');
const SHOWN = 200;
const IDENTITY = { email: 'e-mail', phone: 'phone', external_id: 'external id', ttclid: 'ttclid', ttp: 'ttp', ip: 'IP', user_agent: 'user agent' };
let last = 0;
let paused = false;

const element = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};
const chip = (text, kind = '') => element('span', `chip ${kind}`, text);
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
  const moment = new Date((event.event_time || 0) * 1000);
  const time = element('time', '', event.event_time ? moment.toLocaleTimeString() : '–');
  time.title = event.event_time ? moment.toISOString() : 'no event_time';
  const properties = event.properties || {};
  const value = properties.value === undefined ? '' : `${properties.value} ${properties.currency || ''}`;
  const chips = element('span', 'chips');
  if (!entry.accepted) chips.append(chip(`refused ${entry.code}`, 'bad'));
  if (entry.test_event_code) chips.append(chip(`test ${entry.test_event_code}`, 'warn'));
  for (const [field, label] of Object.entries(IDENTITY)) if (event.user && event.user[field]) chips.append(chip(label, 'good'));
  if (entry.accepted && entry.findings.length) chips.append(chip(`${entry.findings.length} finding${entry.findings.length > 1 ? 's' : ''}`, 'warn'));
  summary.append(time, element('span', 'name', String(event.event ?? '(no name)')), element('span', 'value', value), chips);
  details.append(summary);
  details.addEventListener('toggle', () => {
    if (!details.open || details.lastElementChild !== summary) return;
    const detail = element('div', 'detail');
    if (entry.findings.length) {
      const findings = element('ul');
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

const refresh = async () => {
  if (paused || document.hidden) return;
  try {
    const [events, stats] = await Promise.all([
      fetch(`/sandbox/events?since=${last}`).then((answer) => answer.json()),
      fetch('/sandbox/stats').then((answer) => answer.json()),
    ]);
    document.querySelectorAll('[data-stat]').forEach((cell) => { cell.textContent = stats[cell.dataset.stat].toLocaleString(); });
    events.events.slice(-SHOWN).forEach((entry) => list.prepend(row(entry)));
    if (events.events.length) last = events.events.at(-1).seq;
    while (list.children.length > SHOWN) list.lastElementChild.remove();
    empty.hidden = list.children.length > 0;
    state.textContent = list.children.length ? 'live' : 'waiting for events …';
  } catch {
    state.textContent = 'the sandbox does not answer – is it still running?';
  }
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
  list.replaceChildren();
  refresh();
});
setInterval(refresh, 800);
refresh();
