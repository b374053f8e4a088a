package node

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/meshpol/meshpol/lab/internal/istiostats"
)

func TestDirectoryKnowsPodsAndServicesByAddress(t *testing.T) {
	d := newDirectory()
	d.add("10.244.1.7", &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "cart-7d4f-x", Namespace: "shop",
			Labels:          map[string]string{"app": "cart", "version": "v1", "pod-template-hash": "7d4f"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "cart-7d4f"}},
		},
		Spec: corev1.PodSpec{ServiceAccountName: "cart"},
	})
	http := service("shop", "cart", "10.96.0.2")
	http.Spec.Selector = map[string]string{"app": "cart"}
	http.Spec.Ports = []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}, {Port: 9000}}
	other := service("other", "cart", "10.96.0.3")
	other.Spec = http.Spec
	d.setServices([]*corev1.Service{service("shop", "everything", "10.96.0.4"), other, http})

	want := istiostats.Workload{
		Name: "cart", Namespace: "shop", App: "cart", Version: "v1", CanonicalService: "cart", CanonicalRevision: "v1",
		Cluster: "Kubernetes", Principal: "spiffe://cluster.local/ns/shop/sa/cart",
	}
	if got, ok := d.Workload("10.244.1.7"); !ok || got != want {
		t.Errorf("workload %+v, want %+v", got, want)
	}
	if _, ok := d.Workload("192.0.2.1"); ok {
		t.Error("an address of nobody has a workload")
	}
	for host, want := range map[string]string{
		"cart": "cart.shop.svc.cluster.local", "cart:9000": "cart.shop.svc.cluster.local", "cart.other": "cart.other.svc.cluster.local",
		"cart.other.svc": "cart.other.svc.cluster.local", "cart.shop.svc.cluster.local:80": "cart.shop.svc.cluster.local",
		"elsewhere": "", "cart.example.org": "",
	} {
		if got, ok := d.Host("shop", host); got != want || ok != (want != "") {
			t.Errorf("host %s: %q, want %q", host, got, want)
		}
	}
	for port, want := range map[string]string{
		"8080": "cart.shop.svc.cluster.local", "9000": "cart.shop.svc.cluster.local", "80": "",
	} {
		if got, ok := d.Service("10.244.1.7", port); got != want || ok != (want != "") {
			t.Errorf("port %s: %q, want %q", port, got, want)
		}
	}
}
