package netns

import (
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// AddBridge makes a bridge with an address, written as IP/bits.
func (n *Namespace) AddBridge(name, cidr string) error {
	link, err := n.netlink()
	if err != nil {
		return err
	}
	if err := link.LinkAdd(&netlink.Bridge{LinkAttrs: attrs(name)}); err != nil {
		return fmt.Errorf("making bridge %s: %w", name, err)
	}
	return n.address(name, cidr)
}

// AddLocalRoute makes every address of a range an address of the namespace itself, so that
// programs there can listen on any of them.
func (n *Namespace) AddLocalRoute(cidr string) error {
	link, err := n.netlink()
	if err != nil {
		return err
	}
	lo, err := link.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("finding the loopback device: %w", err)
	}
	_, dst, err := net.ParseCIDR(cidr)
	if err != nil {
		return err
	}
	route := &netlink.Route{
		LinkIndex: lo.Attrs().Index, Dst: dst, Type: unix.RTN_LOCAL,
		Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST,
	}
	if err := link.RouteAdd(route); err != nil {
		return fmt.Errorf("routing %s to the namespace itself: %w", cidr, err)
	}
	return nil
}

// Attach connects pod to a bridge of n by a pair of devices; pod gets eth0 with the address and
// reaches everything else through the gateway.
func (n *Namespace) Attach(pod *Namespace, bridge, device, cidr, gateway string) error {
	link, err := n.netlink()
	if err != nil {
		return err
	}
	master, err := link.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("finding bridge %s: %w", bridge, err)
	}
	near := attrs(device)
	near.MasterIndex = master.Attrs().Index
	pair := &netlink.Veth{LinkAttrs: near, PeerName: "eth0", PeerNamespace: netlink.NsFd(pod.FD())}
	if err := link.LinkAdd(pair); err != nil {
		return fmt.Errorf("making the device pair %s: %w", device, err)
	}
	if err := n.linkUp(device); err != nil {
		return err
	}
	if err := pod.address("eth0", cidr); err != nil {
		return err
	}
	return pod.defaultRoute("eth0", gateway)
}

func (n *Namespace) address(device, cidr string) error {
	link, err := n.netlink()
	if err != nil {
		return err
	}
	l, err := link.LinkByName(device)
	if err != nil {
		return fmt.Errorf("finding device %s: %w", device, err)
	}
	addr, err := netlink.ParseAddr(cidr)
	if err != nil {
		return err
	}
	if err := link.AddrAdd(l, addr); err != nil {
		return fmt.Errorf("giving %s to device %s: %w", cidr, device, err)
	}
	return n.linkUp(device)
}

func (n *Namespace) defaultRoute(device, gateway string) error {
	link, err := n.netlink()
	if err != nil {
		return err
	}
	l, err := link.LinkByName(device)
	if err != nil {
		return fmt.Errorf("finding device %s: %w", device, err)
	}
	route := &netlink.Route{LinkIndex: l.Attrs().Index, Gw: net.ParseIP(gateway)}
	if err := link.RouteAdd(route); err != nil {
		return fmt.Errorf("routing through %s: %w", gateway, err)
	}
	return nil
}

func (n *Namespace) linkUp(device string) error {
	link, err := n.netlink()
	if err != nil {
		return err
	}
	l, err := link.LinkByName(device)
	if err != nil {
		return fmt.Errorf("finding device %s: %w", device, err)
	}
	if err := link.LinkSetUp(l); err != nil {
		return fmt.Errorf("turning device %s on: %w", device, err)
	}
	return nil
}

func attrs(name string) netlink.LinkAttrs {
	a := netlink.NewLinkAttrs()
	a.Name = name
	return a
}
