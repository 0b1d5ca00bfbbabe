// What the tests ask of a page in the browser.
const all = (selector) => [...document.querySelectorAll(selector)];
const one = (selector) => document.querySelector(selector);

// Ratios of contrast of all texts, by the definition of WCAG 2, and how each text begins.
function contrasts() {
  const numbers = (colour) => { const found = colour.match(/[\d.]+/g).map(Number); return [...found.slice(0, 3), found[3] ?? 1]; };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const behind = (element) => {
    const own = numbers(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own : over(own, behind(element.parentElement));
  };
  const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const found = [];
  const measure = (element, colour, text) => {
    const ground = behind(element);
    const [low, high] = [light(over(numbers(colour), ground)), light(ground)].sort((a, b) => a - b);
    found.push([(high + 0.05) / (low + 0.05), text.trim().slice(0, 40)]);
  };
  for (const element of all("body *:not(script, style, noscript, noscript *, [aria-hidden])")) {
    const style = getComputedStyle(element), after = getComputedStyle(element, "::after");
    const text = [...element.childNodes].filter((each) => each.nodeType === Node.TEXT_NODE).map((each) => each.data).join("");
    if (text.trim()) measure(element, element.closest("svg") ? style.fill : style.color, text);
    if (!["none", "normal"].includes(after.content)) measure(element, after.color, after.content);
  }
  return found;
}

// What the Tab key should reach, and `visited`: what it reached, and whether a reader could see that.
let controls, visited;
function watchFocus() {
  controls = all("a[href], summary, button, input:checked, [tabindex]");
  visited = [];
  addEventListener("focusin", ({ target }) => {
    const style = getComputedStyle(target), box = target.getBoundingClientRect();
    const outlined = target.matches(":focus-visible") && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    const inside = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
    visited.push([controls.indexOf(target), outlined && inside]);
  });
  return controls.length;
}

// Contents that take no place on paper.
function lost() {
  const shown = (each) => each.checkVisibility({ contentVisibilityAuto: true }) && each.getBoundingClientRect().height > 0;
  return all("main :is(p, li, pre, td, th, img, svg):not(noscript *, .controls *, .tip *)").filter((each) => !shown(each))
    .map((each) => each.outerHTML.slice(0, 80));
}

// As the reader left it.
const state = () => ({
  open: all("details[open]").map((each) => each.closest("section").querySelector("h3").textContent),
  curves: all("[data-curve]").length,
  gain: one("input[value=gain]").checked,
  sorted: all("[aria-sort]").map((each) => [each.textContent, each.ariaSort]),
  focus: document.activeElement.textContent,
  top: Math.round(all(".table")[4].getBoundingClientRect().top),
});
