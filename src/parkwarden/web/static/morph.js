// Turns what a page shows into what the server sent, touching only what differs: focus, scroll and selection stay where they are.
"use strict";

const morph = (() => {
  const sameKind = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName;

  const OURS = new Set(["data-stale", "open", "tabindex"]); // what people and scripts did to the page

  function attributes(node, wanted) {
    for (const { name } of [...node.attributes]) if (!wanted.hasAttribute(name) && !OURS.has(name)) node.removeAttribute(name);
    for (const { name, value } of wanted.attributes) if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  }

  function one(node, wanted) {
    if (node.nodeType !== Node.ELEMENT_NODE) {
      if (node.nodeValue !== wanted.nodeValue) node.nodeValue = wanted.nodeValue;
      return;
    }
    if (node.hasAttribute("data-keep")) return; // drawn by a script
    if (node.matches("time[data-local], time[data-hm]") && node.getAttribute("datetime") === wanted.getAttribute("datetime")) return;
    attributes(node, wanted);
    children(node, wanted);
  }

  function children(parent, wanted) {
    const byId = new Map([...parent.children].filter((child) => child.id).map((child) => [child.id, child]));
    let at = parent.firstChild;
    for (const next of [...wanted.childNodes]) {
      const known = next.id ? byId.get(next.id) : undefined;
      let like = next.id ? null : at; // what has no id stands for the next of its kind
      while (like && (like.id || !sameKind(like, next))) like = like.nextSibling;
      if (known && known.nodeName === next.nodeName) {
        if (known === at) at = at.nextSibling; else move(parent, known, at);
        one(known, next);
      } else if (like) {
        if (like === at) at = at.nextSibling; else move(parent, like, at);
        one(like, next);
      } else {
        parent.insertBefore(document.importNode(next, true), at);
      }
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  }

  // a moved node loses the focus in it, unless the browser can move without taking out
  function move(parent, node, before) {
    if (parent.moveBefore) { parent.moveBefore(node, before); return; }
    const focus = node.contains(document.activeElement) ? document.activeElement : null;
    parent.insertBefore(node, before);
    focus?.focus({ preventScroll: true });
  }

  // `html` -> what it says, inert
  const parsed = (html) => new DOMParser().parseFromString(`<template>${html}</template>`, "text/html").querySelector("template").content;

  // `wanted`: what is to be inside `parent`
  function into(parent, wanted) {
    children(parent, wanted);
    htmx.trigger(parent, "htmx:afterSettle", { elt: parent });
  }

  return { parsed, into };
})();
