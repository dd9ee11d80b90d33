package contract

// HostCapacity is the capacity of hosts of one instance type, with its cost: an element
// of the stack output capacity. A stack has one for each of its instance types, in the
// order in which AWS Batch prefers them.
//
// Costs are those of instances alone, in US dollars. A host's volume and its public
// address add a few cents an hour.
type HostCapacity struct {
	InstanceType string `json:"instanceType" doc:"The EC2 instance type."`
	GPUModel     string `json:"gpuModel" doc:"The model of its GPUs."`
	GPUs         int    `json:"gpus" doc:"Its GPUs."`
	GPUMemoryMiB int    `json:"gpuMemoryMib" doc:"The memory of each GPU, MiB."`

	SessionsPerHost int      `json:"sessionsPerHost" doc:"The sessions that a host carries at once."`
	Limits          []string `json:"limits" doc:"The resources that limit them: vCPUs, memory, GPUs or ports. If there are several, more of one alone makes no room."`
	MaxSessions     int      `json:"maxSessions" doc:"The most sessions at once on hosts of this type alone, under compute.maxVcpus."`

	USDPerHour        float64 `json:"usdPerHour" doc:"The price of a host for an hour, US dollars: what a session costs that is alone on it."`
	USDPerSessionHour float64 `json:"usdPerSessionHour" doc:"The cost of a session for an hour on a full host, US dollars."`
	IdleUSDPerHour    float64 `json:"idleUsdPerHour" doc:"The cost for an hour of the hosts that compute.minVcpus holds ready, US dollars, if they are of this type; 0 for all sizes but the first."`
	Price             string  `json:"price" doc:"The source of the price: AWS's list price of a Region and a day, or compute.prices."`
}

// The resources that limit the sessions of a host: the words of HostCapacity.Limits.
const (
	LimitVCPUs  = "vCPUs"
	LimitMemory = "memory"
	LimitGPUs   = "GPUs"
	LimitPorts  = "ports"
)
