// Before the first paint, so that a dark room stays dark. A file of its own, because the page's policy allows no inline script.
(function () {
  var wanted = null;
  try {
    wanted = localStorage.getItem('gpt-load.theme');
  } catch (e) {}
  var dark = wanted === 'dark' || (wanted !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.classList.toggle('dark', dark);
})();
