// One event's whole way in a drawer: received, consent, mapped, request, answer, and what to do.
import { get, id as encoded } from './api.js';
import { h } from './dom.js';
import { label, outcome, time } from './format.js';
import { broken, button, copy, copyButton, dialog, json } from './ui.js';
import { icon } from './dom.js';

const TOKEN = '$TIKTOK_ACCESS_TOKEN';
const quoted = (text) => `'${String(text).replaceAll("'", "'\\''")}'`;

/** The request as a command line. The token is never in the page: a variable stands for it. */
export const curl = (request) => {
  const headers = Object.entries(request.headers || {}).filter(([name]) => name.toLowerCase() !== 'access-token');
  return [`curl -X ${request.method || 'POST'} ${quoted(request.url)}`, `  -H "Access-Token: ${TOKEN}"`, ...headers.map(([name, value]) => `  -H ${quoted(`${name}: ${value}`)}`), `  --data ${quoted(typeof request.body === 'string' ? request.body : JSON.stringify(request.body))}`].join(' \\\n');
};

const step = (mark, sign, title, ...inside) => h('li', { class: 'step' }, h('span', { class: `mark ${mark}` }, icon(sign)), h('div', {}, h('h3', {}, title), inside));
const folded = (title, value, name) => value && h('details', {}, h('summary', {}, title), json(value, { name }));

const SPEAKERS = { event: 'the event’s own context.consent', gpc: 'Global Privacy Control', default: 'consent.default of the configuration', header: 'the X-Consent header', asserted: 'the site’s assertion' };
const consentStep = (consent) => {
  const said = consent.decision || consent.outcome || '';
  const good = ['granted', 'not_needed', 'asserted'].includes(said);
  const categories = Array.isArray(consent.categories) ? consent.categories.map((name) => [name, true]) : Object.entries(consent.categories || {});
  return step(good ? 'good' : said ? 'bad' : '', 'shield', `Consent: ${said ? label(said).toLowerCase() : 'not decided'}`,
    h('p', { class: 'soft' }, consent.source ? `Decided by ${SPEAKERS[consent.source] || consent.source}.` : 'No consent signal was found.', consent.needed?.length ? ` Needed: ${consent.needed.join(', ')}.` : ''),
    categories.length > 0 && h('div', { class: 'row' }, categories.map(([name, granted]) => h('span', { class: `chip ${granted ? 'good' : 'bad'}` }, `${name}: ${granted ? 'granted' : 'denied'}`))));
};
const findingsOf = (findings) => findings?.length > 0 && h('ul', { class: 'findings' }, findings.map((finding) => h('li', {}, icon('warn'), h('span', {}, typeof finding === 'string' ? finding : `${finding.path ? `${finding.path}: ` : ''}${finding.message}`))));

const build = (found) => {
  const { row, answer } = found;
  const given = (value) => value !== undefined && value !== null && value !== '';
  const settled = answer && (given(answer.status) || given(answer.code) || (row.outcome === 'dead' && given(answer.message)));
  const kind = row.outcome === 'delivered' ? 'good' : row.outcome === 'filtered' ? '' : ['dead', 'rejected', 'refused'].includes(row.outcome) ? 'bad' : 'warn';
  const words = found.words || row.words || '';
  const cure = [found.cure, answer?.cure].find((text) => text && text !== words);
  return [
    (cure || words) && h('div', { class: `banner ${kind || 'info'}` }, icon(kind === 'good' ? 'check' : kind ? 'warn' : 'info'), h('div', { class: 'grow' }, h('strong', {}, words || label(row.reason) || 'What to do'), cure && h('p', {}, cure))),
    h('ol', { class: 'steps' },
      step('info', 'live', 'Received', h('p', { class: 'soft' }, time(row.at), row.pipeline && ` · pipeline ${row.pipeline}`, found.wire && ` · ${found.wire}`), found.received ? folded('Sealed event: identity is hashed, nothing raw is kept', found.received, 'sealed event') : h('p', { class: 'soft' }, 'Nothing of it was stored.')),
      found.consent && consentStep(found.consent),
      found.mapped ? step(found.findings?.length ? 'warn' : 'good', 'integrations', h('span', {}, 'Mapped to ', h('strong', {}, found.mapped.event || row.event)), findingsOf(found.findings), h('details', { open: true }, h('summary', {}, 'Payload for TikTok'), json(found.mapped, { name: 'payload', before: found.before }))) : step('', 'integrations', 'Not mapped', h('p', { class: 'soft' }, found.refusal || found.words || 'It did not get this far.'), findingsOf(found.findings)),
      found.request && step('info', 'send', 'Request', h('p', { class: 'soft mono' }, `${found.request.method || 'POST'} ${found.request.url}`), h('div', {}, copyButton(() => curl(found.request), 'Copy as curl', 'Copied; set TIKTOK_ACCESS_TOKEN in your shell')), folded('Body', found.request.body, 'request body')),
      settled ? step(kind, kind === 'good' ? 'check' : 'warn', given(answer.code) || given(answer.status) ? `TikTok answered ${given(answer.code) ? answer.code : `HTTP ${answer.status}`}` : 'Not accepted', h('p', {}, answer.message || 'No words.'), h('p', { class: 'soft small' }, answer.status ? `HTTP ${answer.status}` : '', row.attempts ? ` · attempt ${row.attempts}` : '', answer.at ? [' · ', time(answer.at)] : ''), folded('Answer', answer.body, 'answer'))
        : found.mapped && step('', 'clock', 'No answer yet', h('p', { class: 'soft' }, answer?.message || 'It waits in the spool for its turn.'))),
  ];
};

/** Opens the drawer. `path` is where its details are: live/{id} or dead/{id}. */
export const openEvent = (path, { permalink, title, actions } = {}) => dialog(title || 'Event', ({ close, dialog: made, heading }) => {
  const body = h('div', { class: 'drawer-body' }, h('div', { class: 'skeleton tall' }));
  const head = h('div', { class: 'grow' }, h('h2', { id: heading }, title || 'Event'), h('p', { class: 'soft small' }, '\u00a0'));
  const load = async () => {
    try {
      const found = await get(path);
      const { row } = found;
      head.replaceChildren(h('h2', { id: heading }, row.name || row.event || 'Event', row.event && row.event !== row.name ? h('span', { class: 'soft' }, ` → ${row.event}`) : ''), h('div', { class: 'row small' }, outcome(row.outcome), row.reason && h('span', { class: 'soft' }, label(row.reason)), row.integration && h('a', { href: `/integrations/${encoded(row.integration)}` }, row.integration), row.event_id && h('code', { class: 'soft clip', title: 'event_id' }, row.event_id)));
      body.replaceChildren(...build(found).filter(Boolean));
    } catch (error) {
      body.replaceChildren(error.status === 404 ? broken({ message: 'This event is no longer kept: the feed holds the latest ones only.' }) : broken(error, load));
    }
  };
  load();
  made.addEventListener('event-changed', load);
  return [h('div', { class: 'drawer-head' }, head, actions?.(close), permalink && button('', { kind: 'quiet square', sign: 'link', label: 'Copy link to this event', on: () => copy(new URL(permalink, location.href).href, 'Link copied') }), button('', { kind: 'quiet square', sign: 'x', label: 'Close', on: () => close() })), body];
}, { drawer: true });
