"""The bar above the tabs: project, account, Argilla, what runs, what is billed."""
