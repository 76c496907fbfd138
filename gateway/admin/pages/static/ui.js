// Pieces that pages share: toasts, dialogs, menus, code, empty states. All of them work by keyboard, because they are the browser's own elements.
import { $, add, h, icon, put, unique } from './dom.js';

export const toast = (text, kind = '') => {
  const area = $('toasts');
  const made = h('div', { class: `toast ${kind}` }, icon(kind === 'bad' ? 'warn' : 'check'), h('span', {}, text));
  area.append(made);
  if (area.matches(':popover-open')) area.hidePopover();
  area.showPopover(); // again on top of a dialog that was opened meanwhile
  setTimeout(() => {
    made.remove();
    if (!area.children.length) area.hidePopover();
  }, kind === 'bad' ? 9000 : 4500);
};
export const failed = (error) => {
  if (!error?.message) return;
  const problems = (error.problems || []).map((problem) => [`${problem.path ? `${problem.path}: ` : ''}${problem.message}`, problem.hint].filter(Boolean).join(' – ')).join(' · ');
  toast(problems || error.message, 'bad');
};

export const button = (text, { kind = '', sign, label, on, type = 'button', edit, operate, disabled } = {}) =>
  h('button', { class: `btn ${kind}`, type, 'aria-label': label, title: label, disabled: disabled || (edit && !mayEdit()) || (operate && !mayOperate()), on: on ? { click: on } : {} }, sign && icon(sign), text);
/** Replays, drops and test events: what needs an editor, but no catalogue to write to. */
export const mayOperate = () => document.body.dataset.role !== 'viewer';
/** Changes of integrations, mappings and pipelines. */
export const mayEdit = () => mayOperate() && document.body.dataset.catalogue !== 'read-only';

/** Runs an asynchronous action of a button: once at a time, its failure said. */
export const guard = (work) => async (event) => {
  const pressed = event?.currentTarget;
  if (pressed?.getAttribute?.('aria-busy') === 'true') return;
  pressed?.setAttribute?.('aria-busy', 'true');
  try {
    await work(event);
  } catch (error) {
    failed(error);
  } finally {
    pressed?.removeAttribute?.('aria-busy');
  }
};

export const copy = async (text, what = 'Copied') => {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // plain http on another host than localhost has no clipboard API
    const area = h('textarea', { class: 'sr', value: text, 'aria-hidden': 'true' });
    (document.querySelector('dialog[open]') || document.body).append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
  toast(what);
};
export const copyButton = (text, name = 'Copy', said = 'Copied') => button(name, { kind: 'small', sign: 'copy', on: () => copy(typeof text === 'function' ? text() : text, said) });

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\btrue\b|\bfalse\b|\bnull\b/g;
const coloured = (line) => {
  const parts = [];
  let at = 0;
  for (const found of line.matchAll(TOKEN)) {
    if (found.index > at) parts.push(line.slice(at, found.index));
    const kind = found[2] !== undefined ? 'j-k' : found[1] !== undefined ? 'j-s' : /^-?\d/.test(found[0]) ? 'j-n' : 'j-l';
    parts.push(h('span', { class: kind }, found[1] !== undefined ? found[1] : found[0]), found[2] || '');
    at = found.index + found[0].length;
  }
  return [...parts, line.slice(at)];
};
/** A value as JSON, with lines that `before` does not have marked. */
export const json = (value, { name = 'JSON', before } = {}) => {
  const text = JSON.stringify(value, null, 2) ?? '';
  const old = before === undefined ? null : new Set((JSON.stringify(before, null, 2) ?? '').split('\n').map((line) => line.replace(/,$/, '')));
  const inside = text.length > 60000 ? text : text.split('\n').map((line) => h('span', { class: old && !old.has(line.replace(/,$/, '')) ? 'line-new' : 'line-same' }, coloured(line), '\n'));
  return h('div', { class: 'code' }, h('pre', { tabindex: '0', role: 'group', 'aria-label': name }, h('code', {}, inside)), h('button', { class: 'btn small square copy', type: 'button', 'aria-label': `Copy ${name}`, title: `Copy ${name}`, on: { click: () => copy(text) } }, icon('copy')));
};
export const code = (text, { name = 'Code', wrap = false } = {}) =>
  h('div', { class: `code ${wrap ? 'wrap' : ''}` }, h('pre', { tabindex: '0', role: 'group', 'aria-label': name }, h('code', {}, text)), h('button', { class: 'btn small square copy', type: 'button', 'aria-label': `Copy ${name}`, title: `Copy ${name}`, on: { click: () => copy(text) } }, icon('copy')));
export const diff = (lines) =>
  h('div', { class: 'code' }, h('pre', { tabindex: '0', role: 'group', 'aria-label': 'Difference' }, h('code', {}, lines.map((line) => h('span', { class: line.op === '+' ? 'line-add' : line.op === '-' ? 'line-del' : 'line-same' }, `${line.op === '+' || line.op === '-' ? line.op : ' '} ${line.text}\n`)))));

export const empty = (sign, title, text, ...actions) => h('div', { class: 'empty' }, icon(sign), h('h2', {}, title), text && h('p', {}, text), actions.length > 0 && h('div', { class: 'actions' }, actions));
export const slim = (text) => h('div', { class: 'empty slim' }, h('p', {}, text));
export const banner = (kind, title, text, ...actions) => h('div', { class: `banner ${kind}` }, icon(kind === 'bad' || kind === 'warn' ? 'warn' : kind === 'good' ? 'check' : 'info'), h('div', { class: 'grow' }, h('strong', {}, title), text && h('p', {}, text)), actions.some(Boolean) && h('div', { class: 'actions' }, actions));
export const broken = (error, again) => empty('warn', 'This cannot be shown', error.message, again && button('Try again', { sign: 'replay', on: again }));
export const term = (name, ...values) => [h('dt', {}, name), h('dd', {}, values)];
export const fact = (name, ...values) => h('div', {}, h('dt', {}, name), h('dd', {}, values));

/** A modal dialog; resolves with what `close(value)` was given, undefined when dismissed. */
export const dialog = (title, build, { drawer = false } = {}) => new Promise((resolve) => {
  const heading = unique('dialog');
  const made = h('dialog', { class: drawer ? 'drawer' : '', 'aria-labelledby': heading });
  let result;
  const close = (value) => {
    result = value;
    made.close();
  };
  add(made, build({ close, heading, dialog: made, title: h('h2', { id: heading }, title) }));
  made.addEventListener('close', () => {
    made.remove();
    resolve(result);
  });
  made.addEventListener('click', (event) => { if (event.target === made) close(undefined); });
  document.body.append(made);
  made.showModal();
});
/** Asks before something is done. `typed`: the word that has to be typed first. */
export const confirm = (title, text, { action = 'OK', danger = false, typed, extra } = {}) => dialog(title, ({ close, title: heading }) => {
  const go = button(action, { kind: danger ? 'danger primary' : 'primary', type: 'submit', disabled: Boolean(typed) });
  const field = typed && h('input', { autocomplete: 'off', spellcheck: 'false', 'aria-label': `Type ${typed} to confirm`, on: { input: (event) => { go.disabled = event.target.value !== typed; } } });
  return h('form', { method: 'dialog', on: { submit: (event) => { event.preventDefault(); close(true); } } }, heading, h('p', { class: 'soft' }, text), extra, typed && h('div', { class: 'field' }, h('span', { class: 'help' }, 'Type ', h('code', {}, typed), ' to confirm'), field), h('div', { class: 'actions' }, button('Cancel', { on: () => close(undefined) }), go));
});

/** A button with a list of actions: [text, icon, work, {danger, edit}]. */
export const menu = (label, entries) => {
  const list = h('div', { class: 'menu-list', hidden: true });
  const opener = button('', { kind: 'quiet square', sign: 'more', label });
  const root = h('div', { class: 'menu' }, opener, list);
  const show = (open) => {
    list.hidden = !open;
    opener.setAttribute('aria-expanded', String(open));
    if (open) list.querySelector('button, a')?.focus();
  };
  opener.setAttribute('aria-expanded', 'false');
  add(list, entries.filter(Boolean).map(([text, sign, work, { danger, edit } = {}]) => h('button', { type: 'button', class: danger ? 'bad' : '', disabled: edit && !mayEdit(), on: { click: guard(async (event) => { show(false); opener.focus(); await work(event); }) } }, icon(sign), text)));
  opener.addEventListener('click', () => show(list.hidden));
  root.addEventListener('keydown', (event) => {
    const places = [...list.querySelectorAll('button:not(:disabled)')];
    if (event.key === 'Escape' && !list.hidden) { show(false); opener.focus(); event.stopPropagation(); }
    if ((event.key === 'ArrowDown' || event.key === 'ArrowUp') && !list.hidden) {
      event.preventDefault();
      const at = places.indexOf(document.activeElement) + (event.key === 'ArrowDown' ? 1 : -1);
      places[(at + places.length) % places.length]?.focus();
    }
  });
  root.addEventListener('focusout', (event) => { if (!root.contains(event.relatedTarget)) show(false); });
  return root;
};

/** Fills a <select> with [value, text] pairs and keeps what is chosen. */
export const options = (select, pairs, chosen = select.value) => put(select, pairs.map(([value, text]) => h('option', { value, selected: value === chosen }, text)));
export const bars = (rows) => h('ul', { class: 'bars' }, rows.map((row) => {
  const inner = h('span', { class: row.kind || 's-delivered' });
  inner.style.width = `${Math.max(0, Math.min(100, 100 * (row.share || 0)))}%`;
  return h('li', { title: row.title }, h('span', { class: 'clip' }, row.name), h('span', { class: 'num' }, row.value), h('span', { class: 'track', 'aria-hidden': 'true' }, inner));
}));
