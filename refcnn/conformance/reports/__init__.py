"""What runs found: results, pages, and several reports in one."""
