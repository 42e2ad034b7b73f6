package kubernetes

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-ssh/berth/labels"
)

func TestTheContainerIsTheAnnotationsOrElseTheFirst(t *testing.T) {
	p := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main"}, {Name: "other"}}}}
	for _, want := range []struct{ annotation, container string }{{"", "main"}, {defaultContainer, "other"}, {labels.Container, "main"}} {
		if want.annotation != "" {
			metav1.SetMetaDataAnnotation(&p.ObjectMeta, want.annotation, want.container)
		}
		if got := ContainerOf(p); got != want.container {
			t.Errorf("%q: %s", want.annotation, got)
		}
	}
}
