/* theme - before anything is painted: which colors this browser was told to use. A classic script, since it must run first. */
(() => {
	try {
		const theme = JSON.parse(localStorage.getItem("kymo.theme"));
		if (theme === "light" || theme === "dark")
			document.documentElement.dataset.theme = theme;
	} catch { /* as the system has it */ }
})();
