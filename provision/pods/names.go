package pods

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// maxName is what a StatefulSet's name may have, in characters: its pod's name, and the
// label with the hash of its template, are made of it.
const maxName = 52

// nameOf returns the name of an object: of a project and what is in it, in the letters
// that Kubernetes takes. Its error says why there is none.
func nameOf(project, part string) (string, error) {
	name := strings.Map(func(r rune) rune {
		if r == '_' || r == '.' {
			return '-'
		}
		return r
	}, strings.ToLower(project+"-"+part))
	if wrong := validation.IsDNS1123Label(name); len(wrong) > 0 {
		return "", fmt.Errorf("%s is no name that Kubernetes takes: %s", name, wrong[0])
	}
	if len(name) > maxName {
		return "", fmt.Errorf("%s is longer than the %d characters that Kubernetes takes; give the project a shorter name with -p", name, maxName)
	}
	return name, nil
}

// wrongLabel returns what is wrong with a label of a pod; "" where nothing is.
func wrongLabel(key, value string) string {
	const letters = "letters, digits, -, _ and . (63 at most), with a letter or digit at both ends"
	switch {
	case len(validation.IsQualifiedName(key)) > 0:
		return fmt.Sprintf("%q is not as Kubernetes has names of labels: %s, after a domain and / or not", key, letters)
	case len(validation.IsValidLabelValue(value)) > 0:
		return fmt.Sprintf("%q is not as Kubernetes has values of labels: %s", value, letters)
	}
	return ""
}
