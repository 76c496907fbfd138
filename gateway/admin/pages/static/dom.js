// Elements from values. Law: every string becomes a text node or an attribute that cannot run; there is no markup from strings anywhere in these modules.
const SVG = 'http://www.w3.org/2000/svg';

const fill = (made, properties, children) => {
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === 'on') for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    else if (name === 'data') Object.assign(made.dataset, value);
    else if (name === 'value' || name === 'checked' || name === 'disabled' || name === 'hidden' || name === 'selected' || name === 'indeterminate' || name === 'readOnly') made[name] = value;
    else made.setAttribute(name, value === true ? '' : String(value));
  }
  add(made, children);
  return made;
};
export const add = (parent, children) => {
  for (const child of [children].flat(Infinity)) {
    if (child === undefined || child === null || child === false || child === '') continue;
    parent.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return parent;
};
/** An element: h('p', {class: 'soft', on: {click}}, 'text', other) */
export const h = (name, properties, ...children) => fill(document.createElement(name), properties, children);
/** The same in SVG. */
export const s = (name, properties, ...children) => fill(document.createElementNS(SVG, name), properties, children);
export const icon = (name) => s('svg', { class: 'icon', 'aria-hidden': 'true' }, s('use', { href: `#i-${name}` }));
export const $ = (id) => document.getElementById(id);
export const put = (parent, ...children) => {
  parent.replaceChildren();
  return add(parent, children);
};
/** Changes a text only where it differs: no layout, nothing announced twice. */
export const say = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};
export const later = (work, ms) => {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...values), ms);
  };
};
let last = 0;
export const unique = (prefix) => `${prefix}-${(last += 1)}`;
