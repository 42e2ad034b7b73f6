package plan

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
)

// text adds a fact, unless it is empty.
func (f facts) text(key, value string) {
	if value != "" {
		f[key] = strings.Trim(inJSON(value), `"`)
	}
}

func (f facts) yes(key string, value bool) {
	if value {
		f[key] = "true"
	}
}

func (f facts) number(key string, n int64) {
	if n != 0 {
		f[key] = strconv.FormatInt(n, 10)
	}
}

func (f facts) list(key string, values []string) {
	if len(values) > 0 {
		f[key] = inJSON(values)
	}
}

func (f facts) texts(key string, values map[string]string) {
	f.object(key, filledTexts(values))
}

func (f facts) object(key string, o object) {
	if len(o) > 0 {
		f[key] = inJSON(o)
	}
}

func (f facts) objects(key string, all []object) {
	if len(all) > 0 {
		f[key] = inJSON(all)
	}
}

// object is a fact with several parts. Empty parts are left out.
type object map[string]any

func (o object) text(key, value string) object { return o.put(key, value, value != "") }

func (o object) number(key string, n int64) object { return o.put(key, n, n != 0) }

func (o object) yes(key string, value bool) object { return o.put(key, value, value) }

func (o object) list(key string, values []string) object { return o.put(key, values, len(values) > 0) }

func (o object) texts(key string, values map[string]string) object {
	below := filledTexts(values)
	return o.put(key, below, len(below) > 0)
}

func filledTexts(values map[string]string) object {
	o := object{}
	for name, value := range values {
		o.text(name, value)
	}
	return o
}

// orNull returns the object as an item of a list, where one without parts is written
// as null.
func (o object) orNull() object {
	if len(o) == 0 {
		return nil
	}
	return o
}

func (o object) put(key string, value any, filled bool) object {
	if filled {
		o[key] = value
	}
	return o
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func addressTexts(addresses []netip.Addr) []string {
	var texts []string
	for _, a := range addresses {
		texts = append(texts, addressText(a))
	}
	return texts
}

// inJSON returns texts, numbers, lists and maps as JSON, with the keys of a map in
// order.
func inJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // cannot fail for these types
	}
	return string(text)
}
