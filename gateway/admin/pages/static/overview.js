// The overview: numbers first, then what they are made of. It asks again every five seconds while it is looked at; nothing moves but the values.
import { all, get } from './api.js';
import { chart } from './chart.js';
import { $, add, h, icon, put, say } from './dom.js';
import { ago, bytes, count, duration, label, laneChip, left, percent, plural, short, time } from './format.js';
import { banner, bars, mayEdit, slim } from './ui.js';
import { every, session } from './shell.js';

const SERIES = [['Delivered', 'delivered'], ['Filtered', 'filtered'], ['Dead letter', 'dead']];
const IDENTITY = [['email', 'E-mail'], ['phone', 'Phone'], ['external_id', 'External id'], ['ttclid', 'Click id (ttclid)'], ['ttp', 'Browser id (ttp)'], ['ip', 'IP address'], ['user_agent', 'User agent']];
const KEPT = 'ttgateway-window';
const total = (values) => (values || []).reduce((sum, value) => sum + (value || 0), 0);
const sumOf = (value) => (typeof value === 'number' ? value : total(Object.values(value || {})));
let span = ['15m', '1h', '24h'].includes(sessionStorage.getItem(KEPT)) ? sessionStorage.getItem(KEPT) : '1h';
let words = {};
let names = {}; // integration → what people call it

const cells = {};
const cell = (key, name, kind, unit) => {
  const parts = cells[key] = { big: h('dd', { class: 'big' }, '–'), small: h('dd', { class: 'small' }, '\u00a0'), bar: h('span', { class: `s-${kind}` }) };
  return h('div', {}, h('dt', {}, h('span', { class: `swatch s-${kind}` }), name, h('span', { class: 'unit' }, unit)), parts.big, parts.small, h('dd', { class: 'meter', 'aria-hidden': 'true' }, parts.bar));
};
add($('funnel'), [['received', 'Received', 'received', 'events'], ...[['filtered', 'Filtered', 'filtered'], ['queued', 'Waiting', 'waiting'], ['delivered', 'Delivered', 'delivered'], ['dead', 'Dead letters', 'dead']].map((entry) => [...entry, 'per integration'])].map((entry) => cell(...entry)));

const fill = (key, value, text, share) => {
  say(cells[key].big, short(value));
  cells[key].big.title = count(value);
  say(cells[key].small, text || '\u00a0');
  cells[key].bar.style.width = `${Math.min(100, 100 * (share || 0))}%`;
};

const pace = (a_minute) => (a_minute < 1 ? 'less than 1' : a_minute < 10 ? (Math.round(a_minute * 10) / 10).toLocaleString() : short(Math.round(a_minute)));
const drawFunnel = (found) => {
  const { funnel } = found;
  const filtered = sumOf(funnel.filtered);
  const received = funnel.received || 0;
  const base = Math.max(funnel.records || 0, filtered + (funnel.delivered || 0) + (funnel.dead || 0), 1);
  fill('received', received, received ? `${pace((60 * received) / found.window_s)} a minute` : 'nothing yet', received ? 1 : 0);
  fill('filtered', filtered, filtered ? `${percent(filtered, base)} left out by rules` : 'nothing left out', filtered / base);
  fill('queued', funnel.queued, funnel.queued ? `oldest ${duration(found.spool?.oldest_age_s)}` : 'all settled', (funnel.queued || 0) / base);
  fill('delivered', funnel.delivered, typeof found.success_rate === 'number' ? `${percent(found.success_rate, 1)} success` : 'none attempted', (funnel.delivered || 0) / base);
  fill('dead', funnel.dead, funnel.dead ? 'inspect and replay' : 'none', (funnel.dead || 0) / base);
};

const MOST_BARS = 96;
const peak = (values) => { const known = values.filter((value) => value !== null); return known.length ? Math.max(...known) : null; };
/** Fewer, wider steps where there are more minutes than bars: counts are added up, depths and delays take their peak. */
const bundled = ({ series: given, step_s: step, window_s: span_s }) => {
  // a gateway younger than the span: the time before is empty, and not stretched away
  const early = Math.max(0, Math.round(span_s / step) - given.at.length);
  const series = Object.fromEntries(Object.entries(given).map(([name, values]) => [name, [...Array.from({ length: values.length ? early : 0 }, (_, n) => (name === 'at' ? given.at[0] - (early - n) * step : /^(lag_|spool_)/.test(name) ? null : 0)), ...values]]));
  const size = Math.ceil(series.at.length / MOST_BARS);
  const bundle = (values, join) => Array.from({ length: Math.ceil(values.length / size) }, (_, n) => join(values.slice(n * size, (n + 1) * size)));
  const made = Object.entries(series).map(([name, values]) => [name, bundle(values, name === 'at' ? (part) => part[0] : /^(lag_|spool_)/.test(name) ? peak : total)]);
  return { series: Object.fromEntries(made), step: step * size };
};
const drawCharts = (found) => {
  const { series, step } = bundled(found);
  const at = series.at;
  $('chart-lag').parentElement.hidden = !series.lag_p95;
  const told = SERIES.filter(([, kind]) => series[kind]?.length);
  if ($('legend').children.length !== told.length) put($('legend'), told.map(([name, kind]) => h('span', {}, h('span', { class: `swatch s-${kind}` }), name)));
  chart($('chart-events'), { at, stepSeconds: step, stacked: true, format: short, what: 'Events by outcome', nothing: 'No event came in this time.', series: SERIES.map(([name, kind]) => ({ name, kind, values: series[kind] || [] })).filter((each) => each.values.length) });
  chart($('chart-lag'), { at, stepSeconds: step, format: duration, what: 'Delivery lag, from acceptance to TikTok’s answer', series: [{ name: '95 of 100 within', kind: 'other', values: series.lag_p95 || [] }, { name: 'half within', kind: 'delivered', values: series.lag_p50 || [] }] });
  chart($('chart-spool'), { at, stepSeconds: step, format: short, what: 'Records waiting in the spool', series: [{ name: 'records', kind: 'waiting', filled: true, values: series.spool_records || [] }] });
  put($('lag-now'), found.lag?.p50 ? h('span', { class: 'legend' }, h('span', {}, h('span', { class: 'swatch s-delivered' }), `half within ${duration(found.lag.p50)}`), h('span', {}, h('span', { class: 'swatch s-other' }), `95 % within ${duration(found.lag.p95)}`)) : 'nothing delivered yet');
  const spool = found.spool || {};
  say($('spool-now'), spool.max_bytes ? `${bytes(spool.used_bytes)} of ${bytes(spool.max_bytes)}` : '');
};

const drawMatch = (match) => {
  if (!match?.events) return put($('match'), slim('Shown with the first events: the more of these an event carries, the more conversions TikTok can match.'));
  return put($('match'), bars(IDENTITY.map(([key, name]) => ({ name, value: percent(match[key] || 0, match.events), share: (match[key] || 0) / match.events, kind: 's-delivered', title: `${count(match[key] || 0)} of ${plural(match.events, 'event')}` }))));
};
const drawFiltered = (funnel) => {
  const reasons = Object.entries(funnel.filtered || {}).filter(([, n]) => n).sort((one, other) => other[1] - one[1]).slice(0, 7);
  const most = reasons[0]?.[1] || 1;
  put($('filtered'), reasons.length ? bars(reasons.map(([code, n]) => ({ name: label(code), value: count(n), share: n / most, kind: 's-filtered', title: words[code] }))) : slim('No event was left out.'));
};
const drawLanes = (lanes) => {
  put($('lanes'), lanes?.length ? lanes.map((lane) => h('div', { class: 'lane' },
    h('div', { class: 'row apart' }, h('a', { class: 'clip', href: `/integrations/${encodeURIComponent(lane.integration)}` }, names[lane.integration] || lane.name || lane.integration), laneChip(lane.state)),
    lane.message && h('p', { class: 'small' }, lane.code ? `${lane.code}: ` : '', lane.message),
    lane.cure && h('p', { class: 'small' }, h('strong', {}, 'What to do: '), lane.cure),
    h('p', { class: 'small soft' }, lane.test_event_code && `test code ${lane.test_event_code} · `, lane.queued ? `${plural(lane.queued, 'event')} waiting${lane.oldest_accepted_at ? `, oldest ${duration(Math.max(1, Date.now() / 1000 - lane.oldest_accepted_at))}` : ''}` : 'nothing waiting', lane.next_try && lane.state !== 'active' ? [' · next try ', left(lane.next_try)] : lane.last_delivered_at ? ` · last delivered ${ago(lane.last_delivered_at)}` : '')))
    : h('div', { class: 'empty slim' }, h('p', {}, 'No integration yet.'), mayEdit() && h('a', { class: 'btn small', href: '/integrations/new' }, 'Add the first')));
};
const drawCodes = (codes) => {
  const rows = [...(codes || [])].sort((one, other) => other.count - one.count).slice(0, 7);
  put($('codes'), rows.length ? h('table', {}, h('thead', { class: 'sr' }, h('tr', {}, h('th', { scope: 'col' }, 'Code'), h('th', { scope: 'col' }, 'Requests'))), h('tbody', {}, rows.map((row) => h('tr', {}, h('td', {}, h('code', {}, String(row.code)), row.words && h('div', { class: 'small soft' }, row.words)), h('td', { class: 'num' }, count(row.count)))))) : slim('Nothing was sent to TikTok in this time.'));
};
let begun = false;
/** Until the first event: what is still to be done, in order. */
const drawStart = async (found) => {
  if (found.funnel.received || found.series.at.length === 0 || begun) {
    begun = true;
    $('start').hidden = true;
    return;
  }
  const [integrations, pipelines] = await Promise.all([all('integrations'), all('pipelines'), session.catch(() => {})]);
  const place = (page, text) => (mayEdit() ? [`${page}/new`, text] : [page, 'It is done in the configuration file']);
  if (integrations.some((each) => each.last_delivered_at)) { begun = true; return; }
  const steps = [
    [integrations.length, 'Connect your pixel', 'Its code and an access token from TikTok Ads Manager.', ...place('/integrations', 'Add integration')],
    [pipelines.length, 'Name your site', 'A pipeline gives it a key and a tag.', ...place('/pipelines', 'Add pipeline')],
    [false, 'Paste the tag into your pages', 'Or send events from your own code or back end.', pipelines.length ? `/pipelines/${encodeURIComponent(pipelines[0].id)}#tag` : '/pipelines', 'Show the tag'],
    [false, 'Watch the first event arrive', 'Accept the cookies on your site and look at a page.', '/live', 'Open live events'],
  ];
  const at = steps.findIndex(([done]) => !done);
  put($('start'), h('h2', {}, 'Ready for the first event'), h('ol', { class: 'begin' }, steps.map(([done, title, text, href, action], n) => h('li', { class: 'step' }, h('span', { class: `mark ${done ? 'good' : n === at ? 'info' : ''}` }, done ? icon('check') : String(n + 1)), h('div', {}, h('h3', {}, title), !done && h('p', { class: 'soft' }, text), !done && h('div', {}, h('a', { class: `btn small ${n === at ? 'primary' : ''}`, href }, action)))))));
  $('start').hidden = false;
};
const drawAlerts = (alerts) => {
  const shown = alerts || [];
  $('alerts').hidden = !shown.length;
  const key = JSON.stringify(shown.map((alert) => [alert.id, alert.title, alert.cure]));
  if ($('alerts').dataset.key === key) return;
  $('alerts').dataset.key = key;
  put($('alerts'), shown.map((alert) => banner(alert.severity === 'critical' ? 'bad' : 'warn', alert.title, [alert.cure, alert.since ? [' Since ', time(alert.since), '.'] : ''], alert.link && h('a', { class: 'btn small', href: alert.link }, 'Open'))));
};

// Seen only with their first values: alerts on top would push them down otherwise.
const shown = () => $('main').classList.remove('awaiting');
const refresh = async () => {
  const asked = span;
  try {
    const found = await get('overview', { window: asked });
    if (asked !== span) return;
    drawFunnel(found);
    drawCharts(found);
    drawMatch(found.match);
    drawFiltered(found.funnel);
    drawLanes(found.lanes);
    drawCodes(found.codes);
    drawAlerts(found.alerts);
    await drawStart(found);
    shown();
  } catch (error) {
    $('alerts').hidden = false;
    $('alerts').dataset.key = '';
    put($('alerts'), banner('bad', 'The numbers cannot be read', error.message));
    shown();
  }
};
const mark = () => { for (const choice of $('window').children) choice.setAttribute('aria-pressed', String(choice.dataset.window === span)); };
for (const choice of $('window').children) {
  choice.addEventListener('click', () => {
    span = choice.dataset.window;
    sessionStorage.setItem(KEPT, span);
    mark();
    refresh();
  });
}
mark();
get('catalogue').then((found) => { words = found.reasons || {}; }, () => {});
// before the first numbers, or links would change under somebody's hands
all('integrations').then((found) => { names = Object.fromEntries(found.map((each) => [each.id, each.name])); }, () => {}).then(() => every(5000, refresh));
