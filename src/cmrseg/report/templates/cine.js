// Plays every [data-cine] of the report: sprites and contours on one canvas, as a mosaic or one slice at a time.
(() => {
  "use strict";
  const COLOURS = { endo: "#ff8f3f", epi: "#5dbcff", rv: "#35d69c" };
  const GAP = 2;
  const MOVES = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"];

  function loadSlices(data, redraw) {
    return data.slices.map((slice) => {
      const sprite = new Image();
      sprite.onload = redraw;
      sprite.src = slice.sprite;
      const paths = Object.entries(slice.paths).map(([key, byFrame]) => [key, byFrame.map((d) => d && new Path2D(d))]);
      return { number: slice.number, sprite, paths };
    });
  }

  // A little wider than high, with as few empty places as possible.
  function columnsFor(n) {
    if (n === 1) return 1;
    const columns = Math.ceil(Math.sqrt(n * 1.2));
    const empty = (c) => c * Math.ceil(n / c) - n;
    return empty(columns + 1) < empty(columns) ? columns + 1 : columns;
  }

  function start(root) {
    const data = JSON.parse(root.querySelector("script").textContent);
    const canvas = root.querySelector("canvas");
    const context = canvas.getContext("2d");
    const part = (name) => root.querySelector(`[data-${name}]`);
    const slider = part("frame"), chooser = part("slice"), speed = part("speed"), contours = part("contours");
    const chart = root.parentElement.querySelector("[data-frame-x]");
    const frameX = chart ? chart.dataset.frameX.split(" ").map(Number) : [];
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    const slices = loadSlices(data, () => draw());
    const state = { frame: 0, playing: !still, seen: true, last: 0 };

    // Where each visible slice stands on the canvas, in its pixels.
    function layout() {
      const chosen = Number(chooser.value);
      const shown = chosen < 0 ? slices : [slices[chosen]];
      const columns = columnsFor(shown.length);
      const width = Math.round(canvas.clientWidth * (window.devicePixelRatio || 1));
      const tileWidth = (width - GAP * (columns - 1)) / columns;
      const tileHeight = (tileWidth * data.size[1]) / data.size[0];
      const rows = Math.ceil(shown.length / columns);
      const height = Math.round(rows * tileHeight + GAP * (rows - 1));
      const places = shown.map((slice, k) => ({
        slice,
        x: (k % columns) * (tileWidth + GAP),
        y: Math.floor(k / columns) * (tileHeight + GAP),
      }));
      return { width, height, tileWidth, tileHeight, places };
    }

    function draw() {
      const { width, height, tileWidth, tileHeight, places } = layout();
      if (canvas.width !== width || canvas.height !== height) {
        canvas.width = width;
        canvas.height = height;
      }
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, width, height);
      for (const place of places) {
        drawSlice(place, tileWidth, tileHeight);
      }
      tell();
    }

    function drawSlice({ slice, x, y }, width, height) {
      const [w, h] = data.tile;
      const ratio = window.devicePixelRatio || 1;
      context.setTransform(1, 0, 0, 1, x, y);
      if (slice.sprite.complete && slice.sprite.naturalWidth) {
        const left = (state.frame % data.columns) * w, top = Math.floor(state.frame / data.columns) * h;
        context.imageSmoothingQuality = "high";
        context.drawImage(slice.sprite, left, top, w, h, 0, 0, width, height);
      }
      if (contours.checked) {
        const scale = width / data.size[0];
        context.setTransform(scale, 0, 0, scale, x, y);
        context.lineWidth = ((Number(chooser.value) < 0 ? 1.4 : 2) * ratio) / scale;
        context.lineJoin = context.lineCap = "round";
        for (const [key, byFrame] of slice.paths) {
          if (byFrame[state.frame]) {
            context.strokeStyle = COLOURS[key];
            context.stroke(byFrame[state.frame]);
          }
        }
        context.setTransform(1, 0, 0, 1, x, y);
      }
      context.font = `${11 * ratio}px sans-serif`;
      context.fillStyle = "#fff";
      context.shadowColor = "#000";
      context.shadowBlur = 3 * ratio;
      context.fillText(`slice ${slice.number}`, 5 * ratio, height - 6 * ratio);
      context.shadowBlur = 0;
    }

    // The slider, the clock and the line in the chart follow the frame, which readers count from 1.
    function tell() {
      const time = data.times_ms ? ` · ${Math.round(data.times_ms[state.frame])} ms` : "";
      const words = `frame ${state.frame + 1} of ${data.frames}${time}`;
      slider.value = state.frame + 1;
      slider.setAttribute("aria-valuetext", words);
      part("clock").textContent = words;
      part("play").textContent = state.playing ? "❚❚" : "▶";
      part("play").setAttribute("aria-label", state.playing ? "Pause" : "Play");
      if (chart) {
        const line = chart.querySelector("[data-playhead]");
        line.setAttribute("x1", frameX[state.frame]);
        line.setAttribute("x2", frameX[state.frame]);
        line.setAttribute("visibility", "visible");
      }
    }

    function show(frame) {
      state.frame = (frame + data.frames) % data.frames;
      draw();
    }

    function play(on) {
      state.playing = on;
      state.last = 0;
      tell();
      if (on) requestAnimationFrame(tick);
    }

    function stopAt(frame) {
      play(false);
      show(frame);
    }

    function tick(now) {
      if (!state.playing) return;
      const step = data.frame_ms / Number(speed.value);
      state.last = state.last || now;
      const passed = Math.floor((now - state.last) / step);
      if (passed > 0) {
        state.last += passed * step;
        if (state.seen) show(state.frame + passed);
      }
      requestAnimationFrame(tick);
    }

    function choose(position) {
      chooser.value = String(position);
      draw();
    }

    function pick(event) {
      if (Number(chooser.value) >= 0) return choose(-1);
      const { tileWidth, tileHeight, places } = layout();
      const box = canvas.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * canvas.width;
      const y = ((event.clientY - box.top) / box.height) * canvas.height;
      const hit = places.findIndex((p) => x >= p.x && x < p.x + tileWidth && y >= p.y && y < p.y + tileHeight);
      if (hit >= 0) choose(hit);
    }

    // The frame of the curves that lies nearest to the pointer.
    function seek(event) {
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(chart.getScreenCTM().inverse());
      const distance = frameX.map((x) => Math.abs(x - point.x));
      stopAt(distance.indexOf(Math.min(...distance)));
    }

    const keys = {
      " ": () => play(!state.playing),
      ArrowLeft: () => stopAt(state.frame - 1),
      ArrowRight: () => stopAt(state.frame + 1),
      Home: () => stopAt(0),
      End: () => stopAt(data.frames - 1),
      ArrowUp: () => choose(Math.max(-1, Number(chooser.value) - 1)),
      ArrowDown: () => choose(Math.min(slices.length - 1, Number(chooser.value) + 1)),
      c: () => ((contours.checked = !contours.checked), draw()),
    };
    root.addEventListener("keydown", (event) => {
      const own = event.target === root || (event.target === slider && event.key === " ");
      const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!own || !action || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      action();
    });
    part("play").addEventListener("click", () => play(!state.playing));
    // Taking hold of the slider pauses, also where that changes no value and so makes no input event.
    slider.addEventListener("pointerdown", () => play(false));
    slider.addEventListener("keydown", (event) => MOVES.includes(event.key) && play(false));
    slider.addEventListener("input", () => stopAt(Number(slider.value) - 1));
    if (chart) {
      chart.classList.add("seekable");
      chart.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        chart.setPointerCapture(event.pointerId);
        seek(event);
      });
      chart.addEventListener("pointermove", (event) => chart.hasPointerCapture(event.pointerId) && seek(event));
    }
    for (const control of [chooser, contours]) control.addEventListener("change", draw);
    canvas.addEventListener("click", pick);
    new ResizeObserver(draw).observe(canvas);
    new IntersectionObserver((entries) => (state.seen = entries.at(-1).isIntersecting)).observe(canvas);
    draw();
    play(state.playing);
  }

  document.querySelectorAll("[data-cine]").forEach(start);
})();
