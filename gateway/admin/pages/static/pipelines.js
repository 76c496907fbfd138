// The list of pipelines.
import { all } from './api.js';
import { $, h, icon, put } from './dom.js';
import { chip, count, short } from './format.js';
import { banner, broken, copyButton, empty, fact, mayEdit } from './ui.js';
import { session } from './shell.js';

const link = (entry, rest = '') => `/pipelines/${encodeURIComponent(entry.id)}${rest}`;
/** Nothing but missing signals: the site's consent tool does not reach the gateway. */
export const consentWarning = (entry) => (entry.without_consent_signal_of_last_100 >= 100 ? banner('warn', 'None of the last 100 events carried a consent signal', `${entry.granted_by_default_of_last_100 ? 'They are delivered all the same, because consent.default is grant: TikTok is sent events of visitors who may never have been asked.' : 'So none is delivered.'} Send context.consent with each event, let the gateway read your CMP’s cookie (consent.cookies in the configuration: onetrust, cookiebot, or a name of your own), or use Google consent mode.`, h('a', { class: 'btn small', href: `/live?pipeline=${encodeURIComponent(entry.id)}${entry.granted_by_default_of_last_100 ? '' : '&outcome=filtered'}` }, 'See them')) : null);
const card = (entry) => h('article', { class: 'card entry', 'aria-labelledby': `name-${entry.id}` },
  h('div', { class: 'entry-head' }, h('span', { class: 'logo' }, icon('pipelines')), h('div', { class: 'grow' }, h('h2', { id: `name-${entry.id}` }, h('a', { href: link(entry) }, entry.id)), h('div', { class: 'row small soft' }, h('code', {}, entry.key), entry.declared && chip('from the file', 'line', false, 'Declared in the configuration file: read-only here.'))), copyButton(entry.key, 'Copy key')),
  entry.fault && banner('bad', 'It is off', [entry.fault, '. Open it, correct what is marked and save; or roll back under Revisions.']),
  consentWarning(entry),
  h('dl', { class: 'facts' }, fact('Domains', entry.domains?.length ? entry.domains.join(', ') : 'any host'), fact('Integrations', entry.integrations?.length ? entry.integrations.join(', ') : h('span', { class: 'soft' }, 'none')), fact('Rate limit', `${count(entry.rate_limit)} events/s`), fact('Bots', { drop: 'left out', flag: 'flagged', allow: 'let through' }[entry.bots] || entry.bots), entry.received_1h !== undefined && fact('Last hour', entry.received_1h === 1 ? '1 event' : `${short(entry.received_1h)} events`)),
  h('div', { class: 'row' }, h('a', { class: 'btn small', href: link(entry) }, entry.declared || !mayEdit() ? 'View' : 'Edit'), h('a', { class: 'btn small', href: link(entry, '#tag') }, 'Tag to paste'), h('a', { class: 'btn small quiet', href: `/live?pipeline=${encodeURIComponent(entry.id)}` }, 'Live events')));
const load = async () => {
  try {
    const items = await all('pipelines');
    put($('list'), items.length ? items.map(card) : h('div', { class: 'card' }, empty('pipelines', 'Name your site', 'A pipeline is one site or app that sends events. It gets a public key and a tag to paste into the page.', mayEdit() && h('a', { class: 'btn primary', href: '/pipelines/new' }, 'Add pipeline'))));
  } catch (error) {
    put($('list'), h('div', { class: 'card' }, broken(error, load)));
  }
};
if ($('list') && document.body.dataset.page === 'pipelines') session.then(load, load);
