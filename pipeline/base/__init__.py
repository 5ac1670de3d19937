"""What every room needs: errors, settings, the home, projects, pairs, options."""
