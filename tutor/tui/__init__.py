"""The app: it draws what the tutor says and never imports a model, an index or torch."""
