// Runs before TensorBoard's own script, on each page of a board.
(function () {
  "use strict";

  // A browser may be set to refuse storage, to all pages or to frames of other sites, such as a board
  // at 127.0.0.1 in a notebook at localhost. TensorBoard would then say that its data could not be
  // loaded, so it gets a storage that ends with the page.
  function createStorage() {
    var values = new Map();
    return {
      get length() { return values.size; },
      key: function (index) { return Array.from(values.keys())[index] ?? null; },
      getItem: function (name) { return values.get(String(name)) ?? null; },
      setItem: function (name, value) { values.set(String(name), String(value)); },
      removeItem: function (name) { values.delete(String(name)); },
      clear: function () { values.clear(); },
    };
  }

  ["localStorage", "sessionStorage"].forEach(function (name) {
    try {
      window[name].getItem("");
    } catch (error) {
      Object.defineProperty(window, name, { configurable: true, value: createStorage() });
    }
  });

  // Switches TensorBoard's "Reload data" on, every 30 seconds, unless this browser has chosen
  // already: a board over a training that runs is meant to grow. TensorBoard keeps the choice under
  // this name.
  var name = "_tb_global_settings";
  try {
    var settings = JSON.parse(window.localStorage.getItem(name) || "{}");
    if (settings.autoReload === undefined) {
      settings.autoReload = true;
      window.localStorage.setItem(name, JSON.stringify(settings));
    }
  } catch (error) {
    // The storage is full, or another page has kept something else there: TensorBoard's default.
  }
})();
