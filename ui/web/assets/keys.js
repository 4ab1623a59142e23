// Keys that work anywhere on the page.
addEventListener(
  'keydown',
  event => {
    if ((event.ctrlKey || event.metaKey) && event.key === 'Enter') {
      event.preventDefault();
      if (document.querySelector('.deskpage')?.offsetParent) Easel.mixing.preview(true);
      else if (document.querySelector('.canvaspage')?.offsetParent) Easel.repaint.run();
      else if (document.querySelector('.upscalepage')?.offsetParent) Easel.upscale.run();
      else Easel.form.asked.tell();
    }
    if (event.altKey && /^[1-7]$/.test(event.key)) {
      const tab = document.querySelectorAll('#pages [role="tab"]')[Number(event.key) - 1];
      if (tab) {
        event.preventDefault();
        tab.click();
      }
    }
    if (event.key === 'Escape' && !isClosingSomething(event.target)) {
      if (document.querySelector('.canvaspage')?.offsetParent) Easel.escapeCanvas();
      else if (document.querySelector('.upscalepage')?.offsetParent) Easel.escapeUpscale();
      else Easel.escape?.();
    }
  },
  true,
);

/** Esc first closes what is open: a list, a preset's name, the details under the focus; the queue from anywhere. */
function isClosingSomething(target) {
  const isOpen = target.getAttribute?.('aria-expanded') === 'true' || target.closest?.('[data-esc]');
  return Boolean(isOpen || document.querySelector('.queue-list:not([hidden]), .sheet:not([hidden])'));
}

// #merge:error opens a tab in a state: every state can be linked, tested and photographed.
Easel.address = (() => {
  const changed = Easel.signal();
  const parts = () => location.hash.slice(1).split(':');
  addEventListener('hashchange', () => {
    changed.tell();
    openTab();
  });

  // The address follows the tab, so that a page that is loaded anew opens where it was.
  document.addEventListener('click', event => {
    const tab = event.target.closest?.('[role="tab"][data-tab-id]')?.dataset.tabId;
    if (!tab || parts()[0] === tab) return;
    history.replaceState(null, '', `#${tab}`);
    changed.tell();
  });

  /** Goes to the tab that is named. */
  function openTab() {
    const [name] = parts();
    if (/^[a-z]+$/.test(name)) document.querySelector(`[data-tab-id="${name}"]`)?.click();
  }

  return {
    changed,
    openTab,
    /** The state that the address wants of this tab. */
    of: tab => (parts()[0] === tab ? (parts()[1] ?? '') : ''),
  };
})();
