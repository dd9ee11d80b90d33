package main

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// outcome is the end of `pulumi preview`: its status and errors.
type outcome struct {
	status int
	said   string // on standard error
}

// marker is the first line of a summary, by which a workflow finds its comment and
// updates it.
func marker(stack string) string { return "<!-- dcv-sessions preview " + stack + " -->" }

// summarize returns the summary, in at most limit bytes.
func summarize(stack string, text []byte, o outcome, limit int) string {
	p, err := read(text)
	all := p.changes()
	failures := p.failures(o, err)
	d := document{limit: limit - lastWords}
	d.text.WriteString(marker(stack) + "\n## Preview of `" + stack + "`\n\n" + p.verdict(all, failures) + "\n\n")
	d.section("What failed", failures)
	d.section("Look at these first", p.warnings(all))
	d.section("Users", users(all))
	if !p.isFirst() {
		d.section("What it means for sessions", effects(all))
	}
	if len(all) > 0 && len(failures) == 0 {
		d.section("Capacity", p.capacity())
	}
	d.section("What other teams read (stack outputs)", p.outputLines(all))
	for _, c := range components(all) {
		d.section(c.title, c.entries)
	}
	d.section("Warnings of the engine", p.messages("warning"))
	return d.String()
}

// failures returns the preview's errors, or the reason why there is nothing to read.
func (p preview) failures(o outcome, unread error) []string {
	list := p.messages("error")
	switch {
	case len(list) > 0 || unread == nil && o.status == 0:
		return list
	case unread != nil:
		list = []string{"- `pulumi preview` ended with status " + fmt.Sprint(o.status) + ", and " + unread.Error() + "\n"}
	default:
		list = []string{"- `pulumi preview` ended with status " + fmt.Sprint(o.status) + "\n"}
	}
	if said := p.sealer.plain(colors.ReplaceAllString(strings.TrimSpace(o.said), "")); said != "" {
		list = append(list, fenced(tail(said, 4000)))
	}
	return list
}

var colors = regexp.MustCompile(`\x1b\[[0-9;]*[mK]`)

// messages returns the engine's messages of a severity, each with its resource.
func (p preview) messages(severity string) []string {
	var list []string
	for _, d := range p.of(severity) {
		text := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(d.Prefix+d.Message), severity+": "))
		about := ""
		if d.URN != "" && typeOf(d.URN) != rootType {
			about = "- " + code(nameOf(d.URN)) + ":\n"
		}
		list = append(list, about+fenced(tail(text, 2000)))
	}
	return slices.Compact(list)
}

// isFirst reports whether the stack does not exist yet.
func (p preview) isFirst() bool { return p.ChangeSummary != nil && p.root() == nil }

// verdict returns the summary in a line.
func (p preview) verdict(all []change, failures []string) string {
	if len(failures) > 0 {
		text := "**The preview failed: as it is, this can't be deployed.**"
		if len(all) > 0 {
			text += " What it had found until then stands below, and may be incomplete."
		}
		return text
	}
	if len(all) == 0 {
		return "**Nothing changes.**"
	}
	count := map[operation]int{}
	lost, reaches := 0, none
	for _, c := range all {
		count[c.operation]++
		if c.isLoss() {
			lost++
		}
		reaches = max(reaches, c.effect().reach)
	}
	var parts []string
	for op, verb := range verbs {
		if n := count[operation(op)]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", verb, n))
		}
	}
	text := strings.Join(parts, ", ")
	text = "**" + strings.ToUpper(text[:1]) + text[1:] + ".** "
	switch {
	case p.isFirst():
		return text + "This is the stack's first deployment."
	case lost == 1:
		text += "**One of them holds data or is known to others: look at it first.** "
	case lost > 1:
		text += fmt.Sprintf("**%d of them hold data or are known to others: look at these first.** ", lost)
	default:
		text += "Nothing that holds data is replaced or deleted. "
	}
	return text + map[reach]string{
		none:  "No session is touched.",
		later: "Running sessions go on as they are.",
		now:   "Running sessions go on, but feel it at once.",
		ends:  "**Running sessions may end.**",
	}[reaches]
}

// isLoss reports whether the change loses something.
func (c change) isLoss() bool {
	return (c.operation == replaces || c.operation == deletes) && c.lost() != "" && !c.isLeftover
}

// lost returns the loss with a resource. A notification secret's value is made again from
// the configuration; a password is not.
func (c change) lost() string {
	if typeOf(c.URN) != "aws:secretsmanager/secret:Secret" {
		return c.kind.lost
	}
	if !strings.HasSuffix(c.name, "-credentials") || c.OldState == nil {
		return ""
	}
	text := "the password of " + code(c.user())
	if days := asJSON(c.OldState.Inputs["recoveryWindowInDays"]); days != "0" && days != "null" {
		text += ", which can be restored for " + days + " days"
	}
	if c.operation == replaces {
		text += "; sessions that start from now on have another one"
	}
	return text
}

// warnings returns the losses of data, and the resources that lose their protection.
func (p preview) warnings(all []change) []string {
	var list []string
	for _, c := range all {
		switch {
		case c.isLoss():
			why := ""
			if c.operation == replaces && len(c.ReplaceReasons) > 0 {
				why = ", because of " + listed(c.ReplaceReasons)
			}
			list = append(list, fmt.Sprintf("- **%s** the %s %s%s. Lost: %s.\n", verbs[c.operation], c.kind.words, code(c.name), why, c.lost()))
		case c.operation == protects && !c.NewState.Protect:
			list = append(list, fmt.Sprintf("- the %s %s is **no longer protected** against deletion\n", c.kind.words, code(c.name)))
		}
	}
	return list
}

// users returns the added and the removed users, by their job definitions.
func users(all []change) []string {
	var added, removed []string
	for _, c := range all {
		if _, of := c.component(); of != sessions || c.user() == "" || c.isLeftover {
			continue
		}
		switch c.operation {
		case creates:
			added = append(added, c.user())
		case deletes:
			removed = append(removed, c.user())
		}
	}
	var list []string
	if len(added) > 0 {
		list = append(list, "- added: "+listed(added)+"\n")
	}
	if len(removed) > 0 {
		list = append(list, "- removed: "+listed(removed)+"\n")
	}
	if len(added) > 0 && len(removed) > 0 {
		list = append(list, "- a user who was renamed is one removed and one added: with another password, and another job definition\n")
	}
	return list
}

// effects returns the effects of the changes on sessions, the gravest first.
func effects(all []change) []string {
	type key struct {
		reach reach
		words string
		what  string
	}
	count := map[key]int{}
	var order []key
	for _, c := range all {
		e := c.effect()
		if e.reach == none {
			continue
		}
		k := key{e.reach, e.words, c.kind.words}
		if count[k]++; count[k] == 1 {
			order = append(order, k)
		}
	}
	slices.SortStableFunc(order, func(a, b key) int { return cmp.Or(cmp.Compare(b.reach, a.reach), cmp.Compare(a.words, b.words)) })
	var list []string
	for i := 0; i < len(order); {
		first := order[i]
		var what []string
		for ; i < len(order) && order[i].reach == first.reach && order[i].words == first.words; i++ {
			what = append(what, counted(count[order[i]], order[i].what))
		}
		list = append(list, "- "+strings.Join(what, ", ")+": "+first.words+"\n")
	}
	return list
}

func (p preview) outputLines(all []change) []string {
	var list []string
	if p.isFirst() && len(all) > 0 {
		return []string{"- all of them: new\n"}
	}
	for _, becomes := range []string{isGone, isOther, mayBe, isNew} {
		var paths []string
		for _, o := range p.outputs(all) {
			if o.becomes == becomes {
				paths = append(paths, o.path)
			}
		}
		if len(paths) > 0 {
			list = append(list, "- "+listed(paths)+": "+becomes+"\n")
		}
	}
	return list
}

// component is a component with its changes.
type component struct {
	title   string
	entries []string
}

func components(all []change) []component {
	byTitle := map[string][]change{}
	var titles []string
	for _, c := range all {
		title := "The stack itself"
		if name, typ := c.component(); name != "" {
			title = "Component " + code(name) + " (" + typ[strings.LastIndexByte(typ, ':')+1:] + ")"
		}
		if byTitle[title] == nil {
			titles = append(titles, title)
		}
		byTitle[title] = append(byTitle[title], c)
	}
	slices.Sort(titles)
	var list []component
	for _, title := range titles {
		list = append(list, component{title, entries(byTitle[title])})
	}
	return list
}

// entries returns the changes of a component; similar ones have one entry.
func entries(of []change) []string {
	type group struct {
		first change
		names []string
	}
	var groups []*group
	for _, c := range of {
		i := slices.IndexFunc(groups, func(g *group) bool { return g.first.alike(c) })
		if i < 0 {
			groups = append(groups, &group{first: c})
			i = len(groups) - 1
		}
		groups[i].names = append(groups[i].names, c.name)
	}
	var list []string
	for _, g := range groups {
		list = append(list, g.first.entry(g.names))
	}
	return list
}

func (c change) alike(other change) bool {
	return c.operation == other.operation && c.kind.words == other.kind.words && c.isLeftover == other.isLeftover &&
		c.tell() == other.tell()
}

// entry returns the entry of similar changes.
func (c change) entry(names []string) string {
	text := "- " + verbs[c.operation] + " " + plural(len(names), c.kind.words) + " " + listed(names)
	if c.isLeftover {
		text += ", left over from an earlier deployment"
	}
	if c.operation == protects {
		text += map[bool]string{true: ": it is protected against deletion now", false: ": it is not protected any more"}[c.NewState.Protect]
	}
	return text + "\n" + c.tell()
}

// most is the greatest number of differences of a change, or of lines of a difference.
const most = 30

func (c change) tell() string {
	var out strings.Builder
	for i, d := range c.differences {
		if i == most {
			fmt.Fprintf(&out, "  - and %d more\n", len(c.differences)-most)
			break
		}
		if d.lines == nil {
			fmt.Fprintf(&out, "  - %s: %s\n", code(d.path), strings.TrimPrefix(d.old+" → "+d.new, " → "))
			continue
		}
		told := d.lines
		if len(told) > most {
			told = append(slices.Clone(told[:most]), fmt.Sprintf("  and %d more lines", len(d.lines)-most))
		}
		fmt.Fprintf(&out, "  - %s:\n%s", code(d.path), indented(fencedAs("diff", strings.Join(told, "\n"))))
	}
	return out.String()
}

// counted returns "1 role" or "2 policies".
func counted(n int, words string) string { return fmt.Sprintf("%d %s", n, inflected(n, words)) }

// plural returns "the role" or "2 policies".
func plural(n int, words string) string {
	if n == 1 {
		return "the " + words
	}
	return counted(n, words)
}

// inflected puts the first noun into the plural: "rules of who can connect".
func inflected(n int, words string) string {
	if n == 1 {
		return words
	}
	noun, rest, found := words, "", false
	for _, by := range []string{" of ", " to ", " in "} {
		if noun, rest, found = strings.Cut(words, by); found {
			rest = by + rest
			break
		}
	}
	switch {
	case strings.HasSuffix(noun, "y") && !strings.HasSuffix(noun, "ay") && !strings.HasSuffix(noun, "ey"):
		noun = strings.TrimSuffix(noun, "y") + "ies"
	case strings.HasSuffix(noun, "s"):
		noun += "es"
	default:
		noun += "s"
	}
	return noun + rest
}

// listed returns names in code, the first of them if there are many.
func listed(names []string) string {
	names = slices.Clone(names)
	slices.Sort(names)
	names = slices.Compact(names)
	left := 0
	if len(names) > most {
		names, left = names[:most], len(names)-most
	}
	var list []string
	for _, name := range names {
		list = append(list, code(shortened(name)))
	}
	text := strings.Join(list, ", ")
	if left > 0 {
		text += fmt.Sprintf(" and %d more", left)
	}
	return text
}

// code returns a text in which Markdown, HTML and @names have no effect.
func code(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	fence := strings.Repeat("`", longestRun(text)+1)
	if len(fence) > 1 || text == "" {
		return fence + " " + text + " " + fence
	}
	return fence + text + fence
}

func fenced(text string) string { return fencedAs("text", text) }

func fencedAs(language, text string) string {
	fence := strings.Repeat("`", max(3, longestRun(text)+1))
	return fence + language + "\n" + text + "\n" + fence + "\n"
}

func longestRun(text string) int {
	longest := 0
	for _, run := range regexp.MustCompile("`+").FindAllString(text, -1) {
		longest = max(longest, len(run))
	}
	return longest
}

func indented(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n    ") + "\n"
}

// tail returns the end of a text, which has the reason of a failure.
func tail(text string, size int) string {
	if len(text) <= size {
		return text
	}
	text = text[len(text)-size:]
	for !utf8.RuneStart(text[0]) {
		text = text[1:]
	}
	return "…" + text
}

const (
	comment   = 65536 // what GitHub takes as one, in characters
	lastWords = 200   // for what did not fit
)

// document is Markdown that ends before the limit, between two entries.
type document struct {
	limit int
	text  strings.Builder
	left  int // entries that did not fit
}

// section adds entries under a title, and nothing if there are none.
func (d *document) section(title string, entries []string) {
	if len(entries) == 0 {
		return
	}
	text := "### " + title + "\n\n"
	for i, entry := range entries {
		if d.left > 0 || d.text.Len()+len(text)+len(entry)+1 > d.limit {
			d.left += len(entries) - i
			break
		}
		text += entry
	}
	if !strings.HasSuffix(text, "\n\n") {
		d.text.WriteString(text + "\n")
	}
}

func (d *document) String() string {
	if d.left > 0 {
		fmt.Fprintf(&d.text, "**%d more entries did not fit into a comment**: the log of this run has the whole preview.\n", d.left)
	}
	return d.text.String()
}
