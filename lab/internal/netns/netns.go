// Package netns makes and uses network namespaces. A namespace here has no name on the machine: it lives
// as long as a file or a process holds it, so nothing is left when a lab ends, however it ends.
package netns

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"

	"github.com/vishvananda/netlink"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// own is the namespace of the calling thread.
const own = "/proc/thread-self/ns/net"

// Namespace is one network namespace. Its methods are safe for concurrent use.
type Namespace struct {
	file *os.File
	once sync.Once
	link *netlink.Handle
	err  error
}

// New makes a namespace whose loopback device is up and which has no IPv6.
func New() (*Namespace, error) {
	var file *os.File
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("making a network namespace: %w", err)
		}
		// Refused on kernels without IPv6, where there is nothing to turn off.
		_ = os.WriteFile("/proc/sys/net/ipv6/conf/all/disable_ipv6", []byte("1"), 0o644)
		var err error
		file, err = os.Open(own)
		return err
	})
	if err != nil {
		return nil, err
	}
	n := &Namespace{file: file}
	if err := n.linkUp("lo"); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// Close lets go of the namespace; the kernel removes it, and its devices, with its last process.
func (n *Namespace) Close() {
	if link, err := n.netlink(); err == nil {
		link.Close()
	}
	n.file.Close()
}

// File is an open file of the namespace, to be passed to a process that shall enter it.
func (n *Namespace) File() *os.File { return n.file }

// FD is the descriptor of File.
func (n *Namespace) FD() int { return int(n.file.Fd()) }

// Do runs fn on a thread inside the namespace. Sockets that fn opens stay in the namespace wherever they are used.
func (n *Namespace) Do(fn func() error) error {
	return onThread(func() error {
		if err := Enter(n.FD()); err != nil {
			return err
		}
		return fn()
	})
}

// Dial connects to a TCP address, given as IP:port, as seen from inside the namespace.
func (n *Namespace) Dial(ctx context.Context, addr string) (net.Conn, error) {
	var c net.Conn
	err := n.Do(func() error {
		var err error
		c, err = new(net.Dialer).DialContext(ctx, "tcp4", addr)
		return err
	})
	return c, err
}

// Listen opens a TCP listener inside the namespace.
func (n *Namespace) Listen(ctx context.Context, addr string) (net.Listener, error) {
	var l net.Listener
	err := n.Do(func() error {
		var err error
		l, err = new(net.ListenConfig).Listen(ctx, "tcp4", addr)
		return err
	})
	return l, err
}

// Enter moves the calling thread into the namespace behind an open file. The caller must have locked the thread.
func Enter(fd int) error {
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("entering a network namespace: %w", err)
	}
	return nil
}

func (n *Namespace) netlink() (*netlink.Handle, error) {
	n.once.Do(func() {
		n.link, n.err = netlink.NewHandleAt(vnetns.NsHandle(n.FD()), unix.NETLINK_ROUTE)
	})
	return n.link, n.err
}

// onThread runs fn on a thread of its own, which is given up if it cannot be brought back to where it was.
func onThread(fn func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open(own)
		if err != nil {
			runtime.UnlockOSThread()
			result <- err
			return
		}
		defer home.Close()
		err = fn()
		if Enter(int(home.Fd())) == nil {
			runtime.UnlockOSThread()
		}
		result <- err
	}()
	return <-result
}
