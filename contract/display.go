package contract

// DisplayServer names the program in a session image that shows the game to its
// player. The image sets EnvDisplayServer to one of them.
type DisplayServer string

// The display servers.
const (
	DCV DisplayServer = "dcv" // Amazon DCV
	VNC DisplayServer = "vnc" // TigerVNC and noVNC: free, and without a GPU
)

// DisplayServers lists the display servers.
var DisplayServers = []DisplayServer{DCV, VNC}
