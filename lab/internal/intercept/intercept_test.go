package intercept

import (
	"context"
	"net"
	"os"
	"testing"
	"time"

	"github.com/meshpol/meshpol/lab/internal/netns"
)

// TestInterception needs root: it makes two network namespaces, a pod and the rest of the world.
func TestInterception(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("making network namespaces needs root")
	}
	world, pod := newNamespace(t), newNamespace(t)
	if err := world.AddBridge("lab0", "10.244.0.1/16"); err != nil {
		t.Fatal(err)
	}
	if err := world.AddLocalRoute("10.96.0.0/16"); err != nil {
		t.Fatal(err)
	}
	if err := world.Attach(pod, "lab0", "pod1", "10.244.1.1/16", "10.244.0.1"); err != nil {
		t.Fatal(err)
	}
	if err := Install(pod.FD(), []uint16{9901}); err != nil {
		t.Fatal(err)
	}
	listen(t, world, "10.96.0.9:80", "world")
	listen(t, pod, "0.0.0.0:15001", "outbound")
	listen(t, pod, "0.0.0.0:15006", "inbound")
	listen(t, pod, "0.0.0.0:8080", "app")
	listen(t, pod, "0.0.0.0:9901", "control")
	for name, tc := range map[string]struct {
		from *netns.Namespace
		to   string
		want string
	}{
		"the app's calls go out through the sidecar": {pod, "10.96.0.9:80", "outbound"},
		"calls to itself by loopback do not":         {pod, "127.0.0.1:8080", "app"},
		"calls come in through the sidecar":          {world, "10.244.1.1:8080", "inbound"},
		"excluded ports do not":                      {world, "10.244.1.1:9901", "control"},
		"others are not touched":                     {world, "10.96.0.9:80", "world"},
	} {
		if got := ask(t, tc.from, tc.to); got != tc.want {
			t.Errorf("%s: %s was answered by %q, want %q", name, tc.to, got, tc.want)
		}
	}
}

func newNamespace(t *testing.T) *netns.Namespace {
	t.Helper()
	n, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// listen answers every connection with a name.
func listen(t *testing.T, n *netns.Namespace, addr, name string) {
	t.Helper()
	l, err := n.Listen(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte(name))
			c.Close()
		}
	}()
}

func ask(t *testing.T, from *netns.Namespace, addr string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c, err := from.Dial(ctx, addr)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	_ = c.(*net.TCPConn).SetReadDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 16)
	n, _ := c.Read(buf)
	return string(buf[:n])
}

// TestStatisticsAreMerged needs root: whoever asks for a proxy's statistics gets the merged ones, but the merger.
func TestStatisticsAreMerged(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("making network namespaces needs root")
	}
	for name, sidecar := range map[string]bool{"a gateway": false, "a sidecar": true} {
		t.Run(name, func(t *testing.T) {
			world, pod := newNamespace(t), newNamespace(t)
			if err := world.AddBridge("lab0", "10.244.0.1/16"); err != nil {
				t.Fatal(err)
			}
			if err := world.Attach(pod, "lab0", "pod1", "10.244.1.1/16", "10.244.0.1"); err != nil {
				t.Fatal(err)
			}
			listen(t, pod, "0.0.0.0:15090", "proxy")
			listen(t, pod, "0.0.0.0:15091", "merged")
			if sidecar {
				if err := Install(pod.FD(), nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := MergeStats(pod.FD()); err != nil {
				t.Fatal(err)
			}
			if got := ask(t, world, "10.244.1.1:15090"); got != "merged" {
				t.Errorf("Prometheus was answered by %q, want merged", got)
			}
			if got := ask(t, pod, "127.0.0.1:15090"); got != "proxy" {
				t.Errorf("root was answered by %q, want proxy", got)
			}
		})
	}
}
