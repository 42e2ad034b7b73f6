package pods

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// maxName is the longest name of a StatefulSet, in characters: the name of its pod,
// and a label with the hash of its template, contain it.
const maxName = 52

// nameOf returns an object's name, made of a project and a part of it, in characters
// that Kubernetes accepts. It fails if that is impossible.
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

// wrongLabel returns what is wrong with a label of a pod; "" for nothing.
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
