// The viewer's libraries expect a browser when they are loaded; happy-dom stands in for one.
import { Window } from 'happy-dom';

const window = new Window();
globalThis.window = window;
for (const name of ['document', 'navigator', 'self', 'HTMLElement', 'Element', 'Node', 'CustomEvent', 'Event', 'EventTarget', 'SVGElement']) {
  if (!(name in globalThis)) {
    Object.defineProperty(globalThis, name, { value: name === 'self' ? globalThis : window[name], configurable: true, writable: true });
  }
}
