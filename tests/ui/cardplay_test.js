/* The slider over the last day: keys, play, gaps, numbers. */
import {equal, ok} from "./tap.js";
import {cardplay} from "/ui/views/cardplay.js";

const MIN = 60000, T0 = Date.UTC(2026, 10, 28, 12);
const frames = [];
for (let i = 0; i < 30; i++)
	frames.push({time: T0 + i * 5 * MIN + (i > 20 ? 60 * MIN : 0), since: T0 + (i - 1) * 5 * MIN + (i > 20 ? 60 * MIN : 0), series: 100 * (i + 1), made: 100, top: [["m", i + 1]], below: 0});
const told = [];
const p = cardplay({zone: "utc", onFrame: i => told.push(i)});
document.body.append(p.el);
const slider = p.el.querySelector("input"), time = p.el.querySelector("output");
const key = k => slider.dispatchEvent(new KeyboardEvent("keydown", {key: k, bubbles: true, cancelable: true}));

p.set([], -1);
ok(p.el.hidden, "nothing to play");
p.set(frames, 29);
ok(!p.el.hidden && p.at === 29 && !told.length, "the last moment, and nobody is told of what he asked for");
equal(time.textContent, "2026-11-28 15:25 3,000 series, 100 new in 5m", "what the moment was");
key("ArrowLeft");
equal([p.at, told.at(-1)], [28, 28], "a moment back");
key("Home");
equal(p.at, 0, "to the beginning");
key("ArrowLeft");
equal(p.at, 0, "and no farther");
key("PageUp");
equal(p.at, 12, "an hour on");
key("PageDown");
equal(p.at, 0, "and back");
key("End");
key("ArrowRight");
equal(p.at, 29, "to the end");
p.go(21);
ok(time.textContent.endsWith("nothing is known of 1h before that"), `a gap is told: ${time.textContent}`);
equal(slider.getAttribute("aria-valuetext"), "2026-11-28 14:45, 2,200 series", "the slider says where it is");
slider.value = String(T0 + 11 * MIN);
slider.dispatchEvent(new Event("input"));
equal([p.at, Number(slider.value)], [2, T0 + 10 * MIN], "the hand finds the nearest moment");

p.go(26);
const play = p.el.querySelector(".k-cardgo");
play.click();
ok(p.playing && play.textContent === "Pause", "it plays");
for (let i = 0; p.playing && i < 200; i++)
	await new Promise(done => setTimeout(done, 50));
ok(!p.playing && p.at === 29 && play.textContent === "Play", "up to the end");
play.click();
equal(p.at, 0, "and from the beginning again");
key(" ");
ok(!p.playing, "space pauses");

const canvas = p.el.querySelector("canvas");
p.go(29);
await new Promise(done => requestAnimationFrame(done));
const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
ok(pixels.some(v => v), "the chart is drawn");
p.el.querySelector("[aria-expanded]").click();
equal(p.el.querySelectorAll("tbody tr").length, 30, "its numbers are a table");
equal(p.el.querySelector("tbody tr").textContent, "2026-11-28 15:253,000100m 30", "the newest first");
p.destroy();
p.el.remove();
