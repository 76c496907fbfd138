// What every page has: navigation on small screens, theme, who is signed in, banners for faults, and times that run.
import { get, remove } from './api.js';
import { $, add, h, put, say } from './dom.js';
import { count, leftText, plural } from './format.js';
import { banner, guard, mayEdit } from './ui.js';

const side = $('side');
const opener = $('menu');
const veil = h('div', { class: 'veil', on: { click: () => show(false) } });
const show = (open) => {
  side.classList.toggle('open', open);
  opener.setAttribute('aria-expanded', String(open));
  if (open) document.body.append(veil);
  else veil.remove();
  (open ? side.querySelector('.nav a') : opener).focus();
};
opener.addEventListener('click', () => show(!side.classList.contains('open')));
side.addEventListener('keydown', (event) => { if (event.key === 'Escape' && side.classList.contains('open')) show(false); });

for (const choice of $('theme').children) {
  choice.addEventListener('click', () => {
    document.documentElement.dataset.theme = choice.dataset.theme;
    document.cookie = `ttgateway_theme=${choice.dataset.theme}; Path=/; Max-Age=31536000; SameSite=Strict`;
    for (const each of $('theme').children) each.setAttribute('aria-pressed', String(each === choice));
  });
}
$('sign-out').addEventListener('click', guard(async () => {
  await remove('session');
  location.assign('/login');
}));

let instance;
/** Facts of this gateway, asked once a page. */
export const settings = () => (instance ||= get('settings'));
const writable = (found) => found.catalogue?.writable !== false;
let facts = {};
/** Why nothing can be changed here, as a banner; null where it can. To be asked once the session is known. */
export const readOnly = () => (writable(facts) ? null : banner('info', 'The catalogue is read-only', facts.catalogue?.reason || 'Set catalog.path to a writable folder to change things here; until then the configuration file decides.'));

/** Whoever is signed in, once it is known as well whether the catalogue can be written to: pages are drawn with what may be done. */
export const session = Promise.all([get('session'), settings().catch(() => ({}))]).then(([found, told]) => {
  facts = told;
  document.body.dataset.role = found.role;
  if (!writable(facts)) document.body.dataset.catalogue = 'read-only';
  put($('who'), h('div', { class: 'clip' }, found.name || 'signed in'), h('div', { class: 'small soft' }, found.role));
  if (!mayEdit()) for (const link of document.querySelectorAll('a[data-edit]')) link.remove();
  return found;
});

const announce = async () => {
  const found = await settings();
  const said = [];
  for (const fault of found.faults || []) said.push(banner('bad', fault.path ? `Fault in ${fault.path}` : 'Fault', [fault.message, fault.hint].filter(Boolean).join(' – ')));
  if (readOnly() && (['integrations', 'pipelines'].includes(document.body.dataset.page) || location.pathname.endsWith('/new'))) said.push(readOnly());
  if (found.waiting?.length) said.push(banner('warn', 'Some changes wait for a restart', `These sections of the configuration take effect at the next start: ${found.waiting.join(', ')}.`));
  put($('banners'), said);
};
const badge = async () => {
  const found = await get('dead', { limit: 1 });
  const entry = document.querySelector('.nav [data-section="dead"]');
  entry.querySelector('.count')?.remove();
  if (found.total || found.total === null) add(entry, h('span', { class: 'count chip bad', 'aria-label': found.total === null ? 'many dead letters' : plural(found.total, 'dead letter') }, found.total === null ? '…' : count(found.total)));
};
session.then(() => Promise.allSettled([announce(), badge()]));

setInterval(() => { for (const element of document.querySelectorAll('[data-left]')) say(element, leftText(Number(element.dataset.left))); }, 1000);
/** Repeats while the page is looked at; the first time at once. */
export const every = (ms, work) => {
  let running = false;
  const run = async () => {
    if (running || document.hidden) return;
    running = true;
    try {
      await work();
    } finally {
      running = false;
    }
  };
  document.addEventListener('visibilitychange', run);
  setInterval(run, ms);
  return run();
};
/** The n-th part of the page's path: /integrations/{1}/mappings. */
export const part = (n) => decodeURIComponent(location.pathname.split('/')[n + 1] || '');
