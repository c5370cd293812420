/* status - what runs here: build, process, flags, configuration. */
import {ask, gone} from "../lib/ask.js";
import {h, put} from "../lib/dom.js";

export const title = "Status";

export async function show(root, ctx) {
	const body = h("div");
	root.append(h("section", {class: "k-view"}, h("h1", null, title), body));
	try {
		const {data} = await ask("api/v1/status/runtimeinfo", null, {signal: ctx.signal});
		put(body, h("dl", {class: "k-facts"}, Object.entries(data).map(([name, value]) => [h("dt", null, name), h("dd", null, String(value))])));
	} catch (e) {
		if (!gone(e))
			put(body, h("p", {class: "k-error", role: "alert"}, e.message));
	}
	return {};
}
