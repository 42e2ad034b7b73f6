package pods

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// factsVersion is of the form of the facts: which keys there are, and how their values
// are written. Facts of another version are compared by the rules of that version.
const factsVersion = "1"

// versionKey holds the version among the facts.
const versionKey = "version"

// Annotation returns facts as they are kept on a StatefulSet: a JSON object of texts.
func Annotation(facts map[string]string) string {
	all := maps.Clone(facts)
	all[versionKey] = factsVersion
	return inJSON(all)
}

// ReadFacts reads them; nil where these are no facts that this version knows.
func ReadFacts(text string) map[string]string {
	var facts map[string]string
	if json.Unmarshal([]byte(text), &facts) != nil || facts[versionKey] != factsVersion {
		return nil
	}
	delete(facts, versionKey)
	return facts
}

// fact notes what the host is made of by a key of the files, unless that is nothing.
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

// inJSON returns a list or map of texts; the keys of a map are in order.
func inJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // texts can be marshalled
	}
	return string(text)
}
