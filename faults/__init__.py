"""The fault matrix: what breaks between here and a host, while real work flows; ``make faults`` runs it all."""
