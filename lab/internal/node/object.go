package node

import (
	"runtime"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxPods is more than anyone starts on one machine.
const maxPods = 1000

// Object is the node as the API server shall know it.
func Object() *corev1.Node {
	capacity := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse(strconv.Itoa(runtime.NumCPU())),
		corev1.ResourceMemory: resource.MustParse("16Gi"),
		corev1.ResourcePods:   *resource.NewQuantity(maxPods, resource.DecimalSI),
	}
	now := metav1.Now()
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: Name, Labels: map[string]string{
			"kubernetes.io/hostname": Name, "kubernetes.io/os": "linux", "kubernetes.io/arch": runtime.GOARCH,
			"topology.kubernetes.io/region": "lab", "topology.kubernetes.io/zone": "lab-a",
		}},
		Status: corev1.NodeStatus{
			Capacity: capacity, Allocatable: capacity,
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: Address}, {Type: corev1.NodeHostName, Address: Name},
			},
			DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: KubeletPort}},
			NodeInfo:        corev1.NodeSystemInfo{OperatingSystem: "linux", Architecture: runtime.GOARCH, KubeletVersion: "v1.36.3-lab"},
			Conditions: []corev1.NodeCondition{{
				Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "LabNodeAgent",
				LastHeartbeatTime: now, LastTransitionTime: now,
			}},
		},
	}
}

// ReadyPods counts the ready pods of a workload, such as a Deployment, that are not about to end, and the others.
func (a *Agent) ReadyPods(namespace, workload string) (ready, others int) {
	for _, w := range a.all() {
		pod := w.current()
		if pod.Namespace != namespace || workloadName(pod) != workload {
			continue
		}
		if w.ready() && pod.DeletionTimestamp == nil {
			ready++
		} else {
			others++
		}
	}
	return ready, others
}
