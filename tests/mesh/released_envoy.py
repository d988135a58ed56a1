"""What istiod is told for Envoy as it is released: it has none of Istio's own filters. Both halves of the mesh's tests tell it so. This
is a module of its own because nothing that is built depends on it."""

WITHOUT = {
    "PILOT_ENABLE_ALPN_FILTER": "false",
    "PILOT_ENABLE_METADATA_EXCHANGE": "false",
    "PILOT_DISABLE_MX_ALPN": "true",
    "PILOT_ENABLE_TELEMETRY_LABEL": "false",
    # Nor does anything here use these.
    "PILOT_ENABLE_GATEWAY_API": "false",
    "PILOT_ENABLE_ANALYSIS": "false",
}
