package node

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func service(namespace, name, ip string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.ServiceSpec{ClusterIP: ip}}
}

func TestHostsNameServicesAsDNSWould(t *testing.T) {
	got := hostsText([]*corev1.Service{
		service("shop", "cart", "10.96.0.2"), service("other", "cart", "10.96.0.3"), service("shop", "headless", "None"),
	}, hostsFile{namespace: "shop", extra: "10.244.1.1 me\n"})
	want := `127.0.0.1 localhost
10.244.1.1 me
10.96.0.2 cart.shop.svc.cluster.local cart.shop.svc cart.shop cart
10.96.0.3 cart.other.svc.cluster.local cart.other.svc cart.other
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestHostsFilesKeepTheirInode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pod", "hosts")
	h := &hostsWriter{files: map[string]hostsFile{}}
	if err := h.add(path, hostsFile{namespace: "shop"}); err != nil {
		t.Fatal(err)
	}
	mounted, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer mounted.Close()
	h.setServices([]*corev1.Service{service("shop", "cart", "10.96.0.2")})
	text, err := io.ReadAll(mounted)
	if err != nil || !strings.Contains(string(text), "10.96.0.2 cart") {
		t.Errorf("the open file says %q, error %v", text, err)
	}
}

func TestAddressesAreUniqueAndNotUsedAgainSoon(t *testing.T) {
	var a addresses
	first, err := a.take()
	if err != nil {
		t.Fatal(err)
	}
	a.release(first)
	seen := map[string]bool{}
	for range 2000 {
		n, err := a.take()
		if err != nil {
			t.Fatal(err)
		}
		if seen[ip(n)] || n == first || strings.HasSuffix(ip(n), ".0") || strings.HasSuffix(ip(n), ".255") || len(device(n)) > 15 {
			t.Fatalf("address %s, device %s after %d others", ip(n), device(n), len(seen))
		}
		seen[ip(n)] = true
	}
}

func TestPrograms(t *testing.T) {
	for image, want := range map[string]string{
		"meshpol.lab/shop": "shop", "meshpol.lab/proxy:1.31": "proxy",
		"nginx": "", "meshpol.lab/": "", "meshpol.lab/../etc": "", "meshpol.lab/a/b": "",
	} {
		got, err := program(image)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("program(%q) = %q, error %v; want %q", image, got, err, want)
		}
	}
}

func TestExpand(t *testing.T) {
	env := []string{"A=1", "B=two"}
	if got := expand("$(A)-$(B)-$(C)-$A", env); got != "1-two-$(C)-$A" {
		t.Errorf("got %q", got)
	}
}

func TestExcludedPorts(t *testing.T) {
	got, err := ports("9901, 80")
	if err != nil || len(got) != 2 || got[0] != 9901 || got[1] != 80 {
		t.Errorf("got %v, error %v", got, err)
	}
	if _, err := ports("99010"); err == nil {
		t.Error("port 99010 was taken")
	}
}

func TestInterception(t *testing.T) {
	pod := func(name string, args ...string) *corev1.Pod {
		return &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}, {Name: name, Args: args}}}}
	}
	for name, tc := range map[string]struct {
		pod  *corev1.Pod
		want bool
	}{
		"sidecar":    {pod(sidecarName, "proxy", "sidecar"), true},
		"default":    {pod(sidecarName), true},
		"gateway":    {pod(sidecarName, "proxy", "router"), false},
		"no sidecar": {pod("other"), false},
	} {
		if got := intercepted(tc.pod); got != tc.want {
			t.Errorf("%s: intercepted %t, want %t", name, got, tc.want)
		}
	}
}

func TestWorkloadNames(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: "web-5d-x", Labels: map[string]string{"pod-template-hash": "5d"},
		OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web-5d"}},
	}}
	if got := workloadName(pod); got != "web" {
		t.Errorf("of a Deployment: %q", got)
	}
	pod.OwnerReferences = nil
	if got := workloadName(pod); got != "web-5d-x" {
		t.Errorf("of a bare pod: %q", got)
	}
}

func TestTargetPorts(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "h", ContainerPort: 8080}}}}}}
	for name, tc := range map[string]struct {
		port corev1.ServicePort
		want int
	}{
		"same":    {corev1.ServicePort{Port: 80}, 80},
		"number":  {corev1.ServicePort{Port: 80, TargetPort: intstr.FromInt32(8080)}, 8080},
		"name":    {corev1.ServicePort{Port: 80, TargetPort: intstr.FromString("h")}, 8080},
		"unknown": {corev1.ServicePort{Port: 80, TargetPort: intstr.FromString("x")}, 0},
	} {
		if got := targetPort(pod, tc.port); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}

func TestSeekTail(t *testing.T) {
	long := strings.Repeat("x", 70000)
	for name, tc := range map[string]struct {
		text string
		n    int
		want string
	}{
		"last":         {"a\nb\nc\n", 1, "c\n"},
		"two":          {"a\nb\nc\n", 2, "b\nc\n"},
		"more":         {"a\nb\n", 5, "a\nb\n"},
		"none":         {"a\n", 0, ""},
		"empty":        {"", 3, ""},
		"across block": {"a\n" + long + "\n", 1, long + "\n"},
	} {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := seekTail(f, tc.n); err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(f); string(got) != tc.want {
			t.Errorf("%s: got %.20q, want %.20q", name, got, tc.want)
		}
	}
}

func TestStatusOfAPod(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a"}, {Name: "b"}}}}
	end := func(code int32) *corev1.ContainerStateTerminated {
		return &corev1.ContainerStateTerminated{ExitCode: code}
	}
	for name, tc := range map[string]struct {
		a, b  snapshot
		phase corev1.PodPhase
		ready bool
	}{
		"creating":      {snapshot{waiting: "ContainerCreating"}, snapshot{waiting: "ContainerCreating"}, corev1.PodPending, false},
		"half ready":    {snapshot{pid: 1, ready: true}, snapshot{pid: 2}, corev1.PodRunning, false},
		"ready":         {snapshot{pid: 1, ready: true}, snapshot{pid: 2, ready: true}, corev1.PodRunning, true},
		"crash loop":    {snapshot{waiting: "CrashLoopBackOff", restarts: 1}, snapshot{waiting: "CrashLoopBackOff", restarts: 1}, corev1.PodRunning, false},
		"all succeeded": {snapshot{ended: end(0)}, snapshot{ended: end(0)}, corev1.PodSucceeded, false},
		"one failed":    {snapshot{ended: end(0)}, snapshot{ended: end(3)}, corev1.PodFailed, false},
		"one goes on":   {snapshot{ended: end(0)}, snapshot{pid: 2, ready: true}, corev1.PodRunning, false},
	} {
		w := newWorker(nil, pod)
		w.initialized = true
		w.containers[0].seen, w.containers[1].seen = tc.a, tc.b
		s := w.status()
		if ready := s.Conditions[3].Status == corev1.ConditionTrue; s.Phase != tc.phase || ready != tc.ready || w.ready() != tc.ready {
			t.Errorf("%s: phase %s ready %t; want %s %t", name, s.Phase, ready, tc.phase, tc.ready)
		}
	}
}
