package pods

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// factsVersion is the version of the facts' form: their keys, and how values are
// written. Facts of another version are compared by the rules of that version.
const factsVersion = "1"

// versionKey holds the version among the facts.
const versionKey = "version"

// Annotation returns facts in the form in which a StatefulSet has them: a JSON object
// of texts.
func Annotation(facts map[string]string) string {
	all := maps.Clone(facts)
	all[versionKey] = factsVersion
	return inJSON(all)
}

// ReadFacts parses the form of Annotation; nil if the text is not of a known version.
func ReadFacts(text string) map[string]string {
	var facts map[string]string
	if json.Unmarshal([]byte(text), &facts) != nil || facts[versionKey] != factsVersion {
		return nil
	}
	delete(facts, versionKey)
	return facts
}

// fact adds a fact about a key of the files, unless its value is empty.
func (b *builder) fact(key, value string) {
	if value != "" {
		b.host.Facts[key] = value
	}
}

func (b *builder) listFact(key string, values []string) {
	if len(values) > 0 {
		b.host.Facts[key] = inJSON(values)
	}
}

func (b *builder) yesFact(key string, value bool) {
	if value {
		b.host.Facts[key] = "true"
	}
}

func (b *builder) numberFact(key string, n int64) {
	if n != 0 {
		b.host.Facts[key] = strconv.FormatInt(n, 10)
	}
}

func (b *builder) textFacts(key string, values map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		b.host.Facts[key+"."+name] = values[name]
	}
}

// inJSON returns a list or map of texts as JSON, with the keys of a map in order.
func inJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // cannot fail for texts
	}
	return string(text)
}
