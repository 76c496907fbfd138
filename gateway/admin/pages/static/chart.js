// Charts in SVG, built by DOM calls. Law: a fixed height (no layout jump), text stays text, every value can be reached by keyboard and read as a table.
import { add, h, put, s } from './dom.js';
import { axis, utc } from './format.js';

const LEFT = 44;
const BOTTOM = 20;
const TOP = 8;

const nice = (most) => {
  if (most <= 0) return 1;
  const unit = 10 ** Math.floor(Math.log10(most));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * unit).find((step) => step >= most);
};

/** chart(element, {at: [unix…], step, series: [{name, kind, values}], stacked, format, what}); call again with new data. */
export const chart = (root, data) => {
  root.chartData = data;
  if (!root.chartReady) {
    root.chartReady = true;
    root.tabIndex = 0;
    root.setAttribute('role', 'application');
    root.setAttribute('aria-roledescription', 'chart');
    root.chartAt = -1;
    new ResizeObserver(() => draw(root)).observe(root);
    root.addEventListener('pointermove', (event) => point(root, placeOf(root, event.clientX - root.getBoundingClientRect().left)));
    root.addEventListener('pointerleave', () => point(root, -1));
    root.addEventListener('blur', () => point(root, -1));
    root.addEventListener('keydown', (event) => {
      const many = root.chartData.at.length;
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (move) point(root, root.chartAt < 0 ? many - 1 : Math.max(0, Math.min(many - 1, root.chartAt + move)));
      else if (event.key === 'Home') point(root, 0);
      else if (event.key === 'End') point(root, many - 1);
      else if (event.key === 'Escape') point(root, -1);
      else return;
      event.preventDefault();
    });
  }
  draw(root);
};

const scale = (root) => {
  const { at, series, stacked } = root.chartData;
  const width = Math.max(120, root.clientWidth);
  const height = root.clientHeight;
  const sums = at.map((_, n) => (stacked ? series.reduce((sum, each) => sum + (each.values[n] || 0), 0) : Math.max(0, ...series.map((each) => each.values[n] || 0))));
  const most = nice(Math.max(0, ...sums));
  const step = (width - LEFT) / Math.max(1, at.length);
  return { width, height, most, step, x: (n) => LEFT + n * step, y: (value) => TOP + (height - TOP - BOTTOM) * (1 - value / most) };
};
const placeOf = (root, x) => {
  const { step } = scale(root);
  const n = Math.floor((x - LEFT) / step);
  return n >= 0 && n < root.chartData.at.length ? n : -1;
};

const draw = (root) => {
  const { at, series, stacked, format, what } = root.chartData;
  const { width, height, most, step, x, y } = scale(root);
  const picture = s('svg', { viewBox: `0 0 ${width} ${height}`, 'aria-hidden': 'true', focusable: 'false' });
  for (const share of height < 150 ? [0, 1] : [0, 0.5, 1]) {
    add(picture, s('line', { class: 'rule', x1: LEFT, x2: width, y1: y(most * share), y2: y(most * share) }));
    add(picture, s('text', { x: LEFT - 8, y: y(most * share) + 4, 'text-anchor': 'end' }, format(most * share)));
  }
  const labels = Math.min(at.length, Math.max(2, Math.min(7, Math.floor(width / 110))));
  for (let n = 0; n < labels && at.length > 1; n += 1) {
    const place = Math.round((n * (at.length - 1)) / (labels - 1));
    add(picture, s('text', { x: x(place) + step / 2, y: height - 4, 'text-anchor': n === 0 ? 'start' : n === labels - 1 ? 'end' : 'middle' }, axis(at[place])));
  }
  if (stacked) {
    const gap = step > 5 ? Math.min(3, step * 0.22) : 0;
    at.forEach((_, n) => {
      let below = 0;
      for (const each of series) {
        const value = each.values[n] || 0;
        if (value <= 0) continue;
        const top = y(below + value);
        add(picture, s('rect', { class: `f-${each.kind}`, x: (x(n) + gap / 2).toFixed(2), width: Math.max(0.5, step - gap).toFixed(2), y: top.toFixed(2), height: Math.max(0.5, y(below) - top).toFixed(2), rx: step > 8 ? 1 : 0 }));
        below += value;
      }
    });
  } else {
    for (const each of series) {
      const dots = each.values.map((value, n) => (typeof value === 'number' ? [x(n) + step / 2, y(value)] : null));
      const runs = [[]];
      for (const dot of dots) if (dot) runs.at(-1).push(dot); else if (runs.at(-1).length) runs.push([]);
      for (const run of runs.filter((found) => found.length)) {
        const line = run.map(([across, down]) => `${across.toFixed(1)},${down.toFixed(1)}`).join(' L');
        if (each.filled) add(picture, s('path', { class: `area f-${each.kind}`, d: `M${line} L${run.at(-1)[0].toFixed(1)},${y(0)} L${run[0][0].toFixed(1)},${y(0)} Z` }));
        add(picture, run.length > 1 ? s('path', { class: `curve l-${each.kind}`, d: `M${line}` }) : s('circle', { class: `f-${each.kind}`, cx: run[0][0], cy: run[0][1], r: 2 }));
      }
    }
  }
  const table = h('div', { class: 'sr' }, h('table', {}, h('caption', {}, what), h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'from'), series.map((each) => h('th', { scope: 'col' }, each.name)))), h('tbody', {}, at.map((unix, n) => (series.some((each) => each.values[n]) ? h('tr', {}, h('th', { scope: 'row' }, utc(unix)), series.map((each) => h('td', {}, format(each.values[n] || 0)))) : null)))));
  root.setAttribute('aria-label', `${what}. Arrow keys read single values.`);
  const nothing = root.chartData.nothing && !series.some((each) => each.values.some(Boolean));
  put(root, picture, nothing && h('p', { class: 'nothing' }, root.chartData.nothing), table, h('div', { class: 'tip', hidden: true, role: 'status' }));
  if (root.chartAt >= 0) point(root, root.chartAt);
};

const point = (root, n) => {
  root.chartAt = n;
  const tip = root.querySelector('.tip');
  const picture = root.querySelector('svg');
  if (!tip || !picture) return;
  picture.querySelector('.cursor')?.remove();
  tip.hidden = n < 0;
  if (n < 0) return;
  const { at, series, format, stepSeconds } = root.chartData;
  const { x, step, width, height } = scale(root);
  const middle = x(n) + step / 2;
  add(picture, s('line', { class: 'cursor', x1: middle, x2: middle, y1: TOP, y2: height - BOTTOM }));
  put(tip, h('div', { class: 'soft', title: utc(at[n]) }, stepSeconds ? `${axis(at[n])} – ${axis(at[n] + stepSeconds)}` : axis(at[n])), [...series].reverse().map((each) => h('div', {}, h('span', { class: `swatch s-${each.kind}` }), each.name, h('b', {}, typeof each.values[n] === 'number' ? format(each.values[n]) : '–'))));
  const wide = tip.offsetWidth;
  tip.style.left = `${Math.max(0, middle + 12 + wide > width ? middle - wide - 12 : middle + 12)}px`;
};
