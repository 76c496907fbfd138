// One event's whole way in a drawer: received, consent, mapped, request, answer, and what to do.
import { get, id as encoded } from './api.js';
import { h } from './dom.js';
import { label, left, outcome, sentence, time } from './format.js';
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

const SPEAKERS = { event: 'the event’s own context.consent', gpc: 'Global Privacy Control', default: 'consent.default of the configuration', onetrust: 'the OneTrust cookie', cookiebot: 'the Cookiebot cookie', tcf: 'the IAB TCF string', cookie: 'the site’s consent cookie', consent_mode: 'Google consent mode' };
const speakers = (source) => new Intl.ListFormat('en-GB').format(source.split('+').map((each) => SPEAKERS[each] || each));
const DECISIONS = { granted: ['granted', 'good'], not_needed: ['not needed', 'good'], denied: ['denied', 'bad'], missing: ['no signal', 'bad'], not_the_cause: ['not the cause', ''] };
const consentSaid = ({ decision, source, needed }) => {
  const wanted = needed?.length ? ` The integration needs ${new Intl.ListFormat('en-GB').format(needed)}.` : '';
  if (decision === 'not_needed') return 'The integration needs no consent.';
  if (decision === 'missing') return source && source !== 'default' ? `What was said, by ${speakers(source)}, does not grant what is needed, and consent.default is deny.${wanted}` : `No consent signal was found, and consent.default is deny.${wanted}`;
  if (decision === 'not_the_cause') return `It was left out for another reason.${source ? ` Of consent, ${speakers(source)} spoke.` : ''}`;
  return `${source ? `Decided by ${speakers(source)}.` : 'Who decided is not known any more.'}${wanted}`;
};
const consentStep = (consent) => {
  const [said, kind] = DECISIONS[consent.decision] || [consent.decision ? label(consent.decision).toLowerCase() : 'not decided', ''];
  const categories = Array.isArray(consent.categories) ? consent.categories.map((name) => [name, true]) : Object.entries(consent.categories || {});
  return step(kind, 'shield', `Consent: ${said}`, h('p', { class: 'soft' }, consentSaid(consent)),
    categories.length > 0 && h('div', { class: 'row' }, categories.map(([name, granted]) => h('span', { class: `chip ${granted ? 'good' : 'bad'}` }, `${name}: ${granted ? 'granted' : 'denied'}`))));
};
/** Why there is no payload: the mapping stopped it, or something before the mapping. */
const notMapped = (found) => {
  const here = found.received || ['unmapped', 'event_disabled', 'invalid_event'].includes(found.row.reason);
  return step(here ? 'bad' : '', 'integrations', here ? 'Not mapped: it stopped here' : 'Not mapped', h('p', { class: 'soft' }, found.refusal || found.words || (here ? 'The mapping does not send it.' : 'It did not get this far.')), findingsOf(found.findings),
    here && found.row.integration && found.row.reason !== 'integration_removed' && h('div', {}, h('a', { class: 'btn small', href: `/integrations/${encoded(found.row.integration)}/mappings` }, 'Open the field mappings')));
};
const requestStep = ({ request }) => {
  const code = request.body?.test_event_code;
  return step('info', 'send', 'Request', h('p', { class: 'soft mono' }, `${request.method || 'POST'} ${request.url}`), h('p', { class: 'small soft' }, code ? ['With test event code ', h('code', {}, code), '.'] : 'Without a test event code: made again as it is, it counts in your reports.'),
    h('div', {}, copyButton(() => curl(request), 'Copy as curl', 'Copied. Set TIKTOK_ACCESS_TOKEN in your shell, and put in what stands in <…>: hashes and addresses are not shown.')), folded('Body', request.body, 'request body'));
};
const unanswered = ({ lane, answer }) => step(lane ? 'warn' : '', 'clock', lane ? `It waits: delivery is ${label(lane.state).toLowerCase()}` : 'No answer yet',
  h('p', { class: 'soft' }, lane ? [sentence([lane.code, lane.message].filter(Boolean).join(' – ')), lane.next_try ? [' Next try ', left(lane.next_try), '.'] : ''] : answer?.message || 'It waits in the spool for its turn.'));
const findingsOf = (findings) => findings?.length > 0 && h('ul', { class: 'findings' }, findings.map((finding) => h('li', {}, icon('warn'), h('span', {}, typeof finding === 'string' ? finding : `${finding.path ? `${finding.path}: ` : ''}${finding.message}`))));

const triesOf = (tries) => tries?.length > 0 && step(tries.at(-1).known ? '' : 'warn', 'clock', tries.length > 1 ? `The last ${tries.length} tries` : 'The last try',
  h('ul', {}, tries.map((each) => h('li', {}, time(each.at), ' · ', each.words || label(each.reason), each.code && !each.words?.includes(each.code) && h('code', { class: 'soft' }, ` ${each.code}`)))),
  !tries.at(-1).known && h('p', { class: 'soft' }, 'TikTok may have received it: what became of the last try is not known.'));

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
      found.mapped ? step(found.findings?.length ? 'warn' : 'good', 'integrations', h('span', {}, 'Mapped to ', h('strong', {}, found.mapped.event || row.event)), findingsOf(found.findings), h('details', { open: true }, h('summary', {}, 'Payload for TikTok'), json(found.mapped, { name: 'payload', before: found.before }))) : notMapped(found),
      found.request && requestStep(found),
      triesOf(found.tries),
      settled ? [step(kind, kind === 'good' ? 'check' : 'warn', given(answer.code) || given(answer.status) ? `TikTok answered ${given(answer.code) ? answer.code : `HTTP ${answer.status}`}` : 'Not accepted', h('p', {}, answer.message || 'No words.'), h('p', { class: 'soft small' }, [answer.status && `HTTP ${answer.status}`, row.attempts && `attempt ${row.attempts}`].filter(Boolean).join(' · '), answer.at ? [' · ', time(answer.at)] : ''), folded('Answer', answer.body, 'answer')), found.lane && unanswered(found)]
        : found.mapped && row.outcome !== 'dead' && unanswered(found)),
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
      head.replaceChildren(h('h2', { id: heading }, row.name || row.event || 'Event', row.event && row.event !== row.name ? h('span', { class: 'soft' }, ` → ${row.event}`) : ''), h('div', { class: 'row small' }, outcome(row.outcome), row.reason && h('span', { class: 'soft' }, label(row.reason)), row.integration && h('a', { href: `/integrations/${encoded(row.integration)}` }, found.integration_name || row.integration), row.event_id && h('code', { class: 'soft clip', title: 'event_id' }, row.event_id)));
      body.replaceChildren(...build(found).filter(Boolean));
    } catch (error) {
      body.replaceChildren(error.status === 404 ? broken({ message: 'This event is no longer kept: the feed holds the latest ones only.' }) : broken(error, load));
    }
  };
  load();
  made.addEventListener('event-changed', load);
  return [h('div', { class: 'drawer-head' }, head, actions?.(close), permalink && button('', { kind: 'quiet square', sign: 'link', label: 'Copy link to this event', on: () => copy(new URL(permalink, location.href).href, 'Link copied') }), button('', { kind: 'quiet square', sign: 'x', label: 'Close', on: () => close() })), body];
}, { drawer: true });
