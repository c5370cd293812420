# Takes blanks and comments out of a module that mean nothing. Lines stay lines, so that an error names the line of the
# source and no semicolon is lost. What stands in strings, templates and regular expressions is copied as it is.
# A slash begins a regular expression behind a sign that no value ends with, or behind one of these words.
BEGIN {
	n = split("return typeof case in of delete void throw new else do await yield instanceof", words, " ")
	for (i = 1; i <= n; i++)
		before_regex[words[i]] = 1
	depth = 0	# templates around; braces[depth]: open ones in its expression, -1: in its text
}
# What was given last: a letter of a word, a sign, "r" behind a regular expression; and the word, if it is one.
function give(text, what) {
	if (blank && ((is_letter(last) || last == "r/") && is_letter(substr(text, 1, 1)) ||
	    last == "w" && word ~ /^[0-9]/ && text == "." ||
	    (last == "+" || last == "-" || last == "/") && substr(text, 1, 1) == last))
		line = line " "
	blank = 0
	line = line text
	last = what
}
function is_letter(c) { return c != "" && c ~ /^[A-Za-z0-9_$#\\\200-\377]$/ }
function begins_regex() {
	if (is_letter(last))
		return word in before_regex
	return last !~ /^([])"]|r\/|`)$/
}
# The place behind a text that q ends, from i on; in brackets of a regular expression a slash is a letter.
function behind(s, i, q,   c, inside) {
	for (; i <= length(s); i++) {
		c = substr(s, i, 1)
		if (c == "\\") i++
		else if (q == "/" && c == "[") inside = 1
		else if (c == "]") inside = 0
		else if (c == q && !inside) return i + 1
	}
	print "squeeze.awk: line " NR ": " q " has no end: " s >"/dev/stderr"
	failed = 1
	exit 1
}
# The text of a template from i on, to its end, to an expression in it, or to the end of the line.
function template(s, i,   c, from) {
	for (from = i; i <= length(s); i++) {
		c = substr(s, i, 1)
		if (c == "\\") i++
		else if (c == "`") {
			give(substr(s, from, i - from + 1), "`")
			depth--
			return i + 1
		} else if (c == "$" && substr(s, i + 1, 1) == "{") {
			give(substr(s, from, i - from + 2), "{")
			braces[depth] = 0
			return i + 2
		}
	}
	line = line substr(s, from)
	return i
}
{
	line = ""
	blank = 0
	i = 1
	while (i <= length($0)) {
		if (in_comment) {
			j = index(substr($0, i), "*/")
			if (!j) break
			in_comment = 0
			i += j + 1
			blank = 1
			continue
		}
		if (depth && braces[depth] < 0) {
			i = template($0, i)
			continue
		}
		c = substr($0, i, 1)
		two = substr($0, i, 2)
		if (c == " " || c == "\t") {
			blank = line != ""
			i++
		} else if (two == "/*") {
			in_comment = 1
			i += 2
		} else if (two == "//") {
			break
		} else if (is_letter(c)) {
			match(substr($0, i), /^[A-Za-z0-9_$#\\\200-\377]+/)
			word = substr($0, i, RLENGTH)
			give(word, "w")
			i += RLENGTH
		} else if (c == "\"" || c == "'") {
			j = behind($0, i + 1, c)
			give(substr($0, i, j - i), "\"")
			i = j
		} else if (c == "`") {
			give(c, c)
			depth++
			braces[depth] = -1
			i++
		} else if (c == "/" && begins_regex()) {
			j = behind($0, i + 1, "/")
			match(substr($0, j) " ", /^[a-z]*/)
			give(substr($0, i, j - i + RLENGTH), "r/")
			i = j + RLENGTH
		} else {
			give(c, c)
			if (depth && c == "{") braces[depth]++
			else if (depth && c == "}") {
				if (!braces[depth]) braces[depth] = -1
				else braces[depth]--
			}
			i++
		}
	}
	print line
}
END {
	if (!failed && (depth || in_comment)) {
		print "squeeze.awk: a template or a comment has no end" >"/dev/stderr"
		exit 1
	}
}
