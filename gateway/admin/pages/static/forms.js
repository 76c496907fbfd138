// Fields with a label, a required mark, help and an error of their own; and the problems of an answer put where they belong.
import { add, h, icon, put, unique } from './dom.js';
import { banner, button } from './ui.js';

/** Help texts come from docstrings: ``code`` is shown as code. */
export const prose = (text) => String(text || '').split('``').map((piece, n) => (n % 2 ? h('code', {}, piece) : piece));

/** {root, input, read(), error(text)}; `control` may be any element with a value. */
export const field = ({ name, text, help, required, control, read, placeholder, value = '', type = 'text', disabled, list }) => {
  const input = control || h('input', { type, placeholder, value: value ?? '', autocomplete: 'off', spellcheck: 'false', list });
  input.id ||= unique(name || 'field');
  if (disabled) input.disabled = true;
  if (required) input.setAttribute('aria-required', 'true');
  const helper = help && h('p', { class: 'help', id: `${input.id}-help` }, help);
  const wrong = h('p', { class: 'error', id: `${input.id}-error`, hidden: true });
  input.setAttribute('aria-describedby', [helper && helper.id, wrong.id].filter(Boolean).join(' '));
  const root = h('div', { class: 'field' }, h('label', { for: input.id }, text, required && h('span', { class: 'req', 'aria-hidden': 'true' }, '*')), input, helper, wrong);
  const made = {
    name, root, input,
    read: read || (() => input.value.trim()),
    error(words) {
      wrong.hidden = !words;
      put(wrong, words ? [icon('warn'), h('span', {}, words)] : []);
      if (words) input.setAttribute('aria-invalid', 'true');
      else input.removeAttribute('aria-invalid');
    },
  };
  input.addEventListener('input', () => made.error(''));
  return made;
};
export const select = ({ value, choices, ...rest }) => {
  const control = h('select', {}, choices.map(([code, words]) => h('option', { value: code, selected: code === value }, words)));
  return field({ ...rest, control, read: () => control.value });
};
export const check = ({ name, text, help, checked, disabled, on }) => {
  const input = h('input', { type: 'checkbox', id: unique(name), checked: Boolean(checked), disabled, on });
  return { name, input, root: h('label', { class: 'check', for: input.id }, input, h('span', {}, h('span', {}, text), help && h('span', { class: 'help' }, help))), read: () => input.checked, error() {} };
};
/** Cards to choose from: one (radio) or several (checkbox). choices: [value, title, help, {fixed: why it cannot be chosen here}] */
export const choices = ({ name, text, help, many = false, value, choices: all, disabled, required, on }) => {
  const group = unique(name);
  const chosen = new Set(many ? value : [value]);
  const inputs = all.map(([code]) => h('input', { type: many ? 'checkbox' : 'radio', name: group, value: code, checked: chosen.has(code), disabled: disabled || Boolean(all.find(([each]) => each === code)[3]?.fixed), on }));
  const wrong = h('p', { class: 'error', id: `${group}-error`, hidden: true });
  const root = h('fieldset', { class: 'field', 'aria-describedby': wrong.id }, h('legend', { class: text ? '' : 'sr' }, text || name, required && h('span', { class: 'req', 'aria-hidden': 'true' }, '*')), help && h('p', { class: 'help' }, help),
    h('div', { class: 'choices' }, all.map(([, title, words, more], n) => h('label', { class: 'choice' }, inputs[n], h('span', {}, h('strong', {}, title), words && h('span', { class: 'help' }, words), more?.fixed && h('span', { class: 'help' }, icon('lock'), ' ', more.fixed))))), wrong);
  const error = (words) => { wrong.hidden = !words; put(wrong, words ? [icon('warn'), h('span', {}, words)] : []); };
  root.addEventListener('change', () => error(''));
  return {
    name, root, input: inputs[0] || root,
    read: () => { const on_ = inputs.filter((input) => input.checked).map((input) => input.value); return many ? on_ : on_[0]; },
    error,
  };
};
/** A list of texts, one a line or separated by commas. */
export const texts = ({ value = [], placeholder, ...rest }) => {
  const control = h('input', { type: 'text', placeholder, value: value.join(', '), autocomplete: 'off', spellcheck: 'false' });
  return field({ ...rest, control, read: () => control.value.split(/[\s,]+/).filter(Boolean) });
};

const bare = (path) => String(path || '').replace(/^(body\.)?((integrations|pipelines)\.\d+\.)?/, '');
/** Somebody else was quicker: their state, or ours over it. `mine` saves again. */
export const outdated = (mine) => h('div', { role: 'alert', tabindex: '-1' }, banner('warn', 'Somebody else changed it meanwhile', 'What you entered is still here, and nothing has been saved.', button('Show their state', { kind: 'small', on: () => location.reload() }), mine && button('Save mine over it', { kind: 'small', on: mine })));
const TITLES = { 0: 'Not saved', 404: 'It is no longer there', 409: 'Not saved', 503: 'Saved, but not in force' };

/** Shows an answer's problems beside their fields, the others on top; focus goes to the first. `mine`: saves over what somebody else did meanwhile. */
export const place = (error, fields, summary, { mine } = {}) => {
  for (const each of fields) each.error('');
  put(summary);
  if (error.status === 412) {
    put(summary, outdated(mine)).firstElementChild.focus();
    return;
  }
  const rest = [];
  let first;
  for (const problem of error.problems || []) {
    const path = bare(problem.path);
    const found = fields.find((each) => each.name === path) || fields.find((each) => path.startsWith(`${each.name}.`));
    const words = [problem.message, problem.hint].filter(Boolean).join(' – ');
    if (found) {
      found.error(words);
      const folded = found.root.closest('details');
      if (folded) folded.open = true; // what is hidden cannot take the focus
      first ||= found.input;
    } else rest.push([path, words]);
  }
  if (!error.problems?.length) rest.push(['', error.message]);
  if (rest.length) {
    add(summary, h('div', { class: 'banner bad', role: 'alert', tabindex: '-1' }, icon('warn'), h('div', { class: 'grow' }, h('strong', {}, TITLES[error.status] || 'This cannot be saved yet'), h('ul', {}, rest.map(([path, words]) => h('li', {}, path && h('code', {}, path), path && ' ', words))))));
  }
  (first || summary.firstElementChild)?.focus();
};
