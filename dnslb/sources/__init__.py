"""Ways for health reports to reach us; none knows another, nor who decides."""
